"""Our double of Deepgram, as the deepgram-sdk library meets it."""

import math
import struct
import sys

import websockets
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment

http, key = sys.argv[1:3]


def client(key=key):
    ws = http.replace("http://", "ws://")
    environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    return DeepgramClient(api_key=key, environment=environment)


def frames(ms, loud, each=20):
    """Linear16 at 8 kHz, so many milliseconds at once."""
    for _ in range(ms // each):
        yield b"".join(struct.pack("<h", int(8000 * math.sin(i * 0.35)) if loud else 0) for i in range(each * 8))


def refuses(listen):
    """A wrong key is refused."""
    try:
        with listen(client("wrong")):
            raise SystemExit("a wrong key was taken")
    except websockets.InvalidStatus as error:
        assert error.response.status_code == 401, error
