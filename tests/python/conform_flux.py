"""The deepgram-sdk library against our double of Deepgram Flux and Aura."""

import sys

from deepgram.listen.v2.types.listen_v2connected import ListenV2Connected
from deepgram.listen.v2.types.listen_v2turn_info import ListenV2TurnInfo
from deepgram.speak.v1.types.speak_v1cleared import SpeakV1Cleared
from deepgram.speak.v1.types.speak_v1flushed import SpeakV1Flushed
from deepgram.speak.v1.types.speak_v1metadata import SpeakV1Metadata
from deepgram.speak.v1.types.speak_v1text import SpeakV1Text

from deepgram_double import client, frames, refuses

ms_per_character = int(sys.argv[3])

OPTIONS = dict(model="flux-general-en", encoding="linear16", sample_rate=8000)
with client().listen.v2.connect(**OPTIONS) as socket:
    for frame in [*frames(240, False, 80), *frames(800, True, 80), *frames(800, False, 80)]:
        socket.send_media(frame)
    socket.send_close_stream()
    said = list(socket)
ListenV2Connected.model_validate(said[0].dict())
turns = [ListenV2TurnInfo.model_validate(message.dict()) for message in said[1:]]
assert [(turn.event, turn.transcript) for turn in turns] == [
    ("StartOfTurn", ""), ("Update", "first words"), ("EndOfTurn", "first words of all")], turns

with client().speak.v1.connect(model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000) as socket:
    SpeakV1Metadata.model_validate(socket.recv().dict())
    socket.send_text(SpeakV1Text(text="Hello there. "))
    socket.send_text(SpeakV1Text(text="Bye."))
    socket.send_flush()
    sound = 0
    while isinstance(message := socket.recv(), bytes):
        sound += len(message)
    SpeakV1Flushed.model_validate(message.dict())
    assert message.type == "Flushed" and sound == len("Hello there. Bye.") * ms_per_character * 8, sound
    socket.send_text(SpeakV1Text(text="Never."))
    socket.send_clear()
    message = socket.recv()
    assert SpeakV1Cleared.model_validate(message.dict()).type == "Cleared", message
    socket.send_close()

refuses(lambda client: client.listen.v2.connect(**OPTIONS))
print("fine")
