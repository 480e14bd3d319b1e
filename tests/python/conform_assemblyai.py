"""The assemblyai library against our double of AssemblyAI streaming."""

import math
import struct
import sys
import threading

from assemblyai.streaming.v3 import (
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
)

http, key = sys.argv[1:]
ws = http.replace("http://", "ws://")


def frames(ms, loud):
    """60 ms of linear16 at 8 kHz at once."""
    for _ in range(ms // 60):
        yield b"".join(struct.pack("<h", int(8000 * math.sin(i * 0.35)) if loud else 0) for i in range(480))


turns, errors, begun, ended = [], [], threading.Event(), threading.Event()
client = StreamingClient(StreamingClientOptions(api_key=key, api_host=ws))
client.on(StreamingEvents.Begin, lambda _, event: begun.set())
client.on(StreamingEvents.Turn, lambda _, event: turns.append(event))
client.on(StreamingEvents.Error, lambda _, error: errors.append(error))
client.on(StreamingEvents.Termination, lambda _, event: ended.set())
client.connect(StreamingParameters(sample_rate=8000, encoding="pcm_s16le", format_turns=False,
                                   speech_model="universal-streaming-english"))
assert begun.wait(10)
for frame in [*frames(180, False), *frames(900, True), *frames(720, False)]:
    client.stream(frame)
client.disconnect(terminate=True)
assert ended.wait(10) and not errors, errors
assert [(turn.transcript, turn.end_of_turn) for turn in turns] == [
    ("first words", False), ("first words of all", True)], turns
assert turns[1].words[3].text == "all" and turns[1].turn_order == 0

# A wrong key.
refused = threading.Event()
client = StreamingClient(StreamingClientOptions(api_key="wrong", api_host=ws))
client.on(StreamingEvents.Error, lambda _, error: refused.set())
client.connect(StreamingParameters(sample_rate=8000, encoding="pcm_s16le",
                                   speech_model="universal-streaming-english"))
assert refused.wait(10), "a wrong key was taken"
print("fine")
