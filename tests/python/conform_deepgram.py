"""The deepgram-sdk library against our double of Deepgram live."""

from deepgram.listen.v1.types.listen_v1metadata import ListenV1Metadata
from deepgram.listen.v1.types.listen_v1results import ListenV1Results
from deepgram.listen.v1.types.listen_v1speech_started import ListenV1SpeechStarted
from deepgram.listen.v1.types.listen_v1utterance_end import ListenV1UtteranceEnd

from deepgram_double import client, frames, refuses

OPTIONS = dict(model="nova-3", encoding="linear16", sample_rate=8000, interim_results="true",
               endpointing=300, utterance_end_ms=1000, vad_events="true")
JUDGES = {"Results": ListenV1Results, "SpeechStarted": ListenV1SpeechStarted,
          "UtteranceEnd": ListenV1UtteranceEnd, "Metadata": ListenV1Metadata}

with client().listen.v1.connect(**OPTIONS) as socket:
    for frame in [*frames(200, False), *frames(800, True), *frames(1600, False), *frames(400, True)]:
        socket.send_media(frame)
    socket.send_keep_alive()
    socket.send_finalize()
    for frame in frames(400, False):
        socket.send_media(frame)
    socket.send_close_stream()
    said = list(socket)

for message in said:
    JUDGES[message.type].model_validate(message.dict())
results = [m for m in said if m.type == "Results"]
final = [m for m in results if m.is_final]
words = [m.channel.alternatives[0].transcript for m in final]
assert said[0].type == "SpeechStarted" and said[-1].type == "Metadata", [m.type for m in said]
assert any(not m.is_final and m.channel.alternatives[0].transcript == "first words" for m in results), results
assert words[0] == "first words of all" and final[0].speech_final, words
assert [m.type for m in said].count("UtteranceEnd") == 1
# What is finalized is fixed at once; the end of the utterance follows, empty.
assert words[1] == "second" and final[1].from_finalize and not final[1].speech_final, words
assert words[2] == "" and final[2].speech_final, words
assert 0.79 < final[0].duration - 0.3 < 0.83, final[0].duration

refuses(lambda client: client.listen.v1.connect(**OPTIONS))
print("fine")
