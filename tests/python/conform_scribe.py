"""The elevenlabs library against our double of ElevenLabs Scribe."""

import asyncio
import base64
import math
import struct
import sys

from elevenlabs.realtime.connection import RealtimeEvents
from elevenlabs.realtime.scribe import AudioFormat, CommitStrategy, ScribeRealtime

http, key = sys.argv[1:]
ws = http.replace("http://", "ws://")
OPTIONS = {"model_id": "scribe_v2_realtime", "audio_format": AudioFormat.PCM_8000, "sample_rate": 8000,
           "commit_strategy": CommitStrategy.MANUAL}


def frame(loud):
    sound = b"".join(struct.pack("<h", int(8000 * math.sin(i * 0.35)) if loud else 0) for i in range(160))
    return {"audio_base_64": base64.b64encode(sound).decode()}


async def main():
    connection = await ScribeRealtime(api_key=key, base_url=ws).connect(OPTIONS)
    said, done = [], asyncio.Event()
    connection.on(RealtimeEvents.PARTIAL_TRANSCRIPT, lambda data: said.append(("partial", data["text"])))

    def committed(data):
        said.append(("committed", data["text"]))
        done.set()

    connection.on(RealtimeEvents.COMMITTED_TRANSCRIPT, committed)
    for loud in [*[False] * 10, *[True] * 40, *[False] * 10]:
        await connection.send(frame(loud))
    await connection.commit()
    await asyncio.wait_for(done.wait(), 20)
    assert said == [("partial", "first words"), ("committed", "first words of all")], said
    await connection.close()
    try:
        await ScribeRealtime(api_key="wrong", base_url=ws).connect(OPTIONS)
        raise SystemExit("a wrong key was taken")
    except Exception as error:
        assert "401" in str(error), error


asyncio.run(main())
print("fine")
