"""The deepgram-sdk library against our double of Deepgram Flux and Aura."""

import math
import struct
import sys

import websockets
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v2.types.listen_v2connected import ListenV2Connected
from deepgram.listen.v2.types.listen_v2turn_info import ListenV2TurnInfo
from deepgram.speak.v1.types.speak_v1cleared import SpeakV1Cleared
from deepgram.speak.v1.types.speak_v1flushed import SpeakV1Flushed
from deepgram.speak.v1.types.speak_v1metadata import SpeakV1Metadata
from deepgram.speak.v1.types.speak_v1text import SpeakV1Text

http, key, ms_per_character = sys.argv[1], sys.argv[2], int(sys.argv[3])
ws = http.replace("http://", "ws://")


def client(key):
    environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    return DeepgramClient(api_key=key, environment=environment)


def frames(ms, loud):
    """80 ms of linear16 at 8 kHz at once."""
    for _ in range(ms // 80):
        yield b"".join(struct.pack("<h", int(8000 * math.sin(i * 0.35)) if loud else 0) for i in range(640))


OPTIONS = dict(model="flux-general-en", encoding="linear16", sample_rate=8000)
with client(key).listen.v2.connect(**OPTIONS) as socket:
    for frame in [*frames(240, False), *frames(800, True), *frames(800, False)]:
        socket.send_media(frame)
    socket.send_close_stream()
    said = list(socket)
ListenV2Connected.model_validate(said[0].dict())
turns = [ListenV2TurnInfo.model_validate(message.dict()) for message in said[1:]]
assert [(turn.event, turn.transcript) for turn in turns] == [
    ("StartOfTurn", ""), ("Update", "first words"), ("EndOfTurn", "first words of all")], turns

with client(key).speak.v1.connect(model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000) as socket:
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

try:
    with client("wrong").listen.v2.connect(**OPTIONS) as socket:
        raise SystemExit("a wrong key was taken")
except websockets.InvalidStatus as error:
    assert error.response.status_code == 401, error
print("fine")
