"""The elevenlabs library against our double of ElevenLabs.

The library has a client for one text a socket, and only types for many contexts a socket: those
are spoken with a plain WebSocket, each message made and judged by the library's types.
"""

import base64
import json
import sys

import websockets
from elevenlabs.client import ElevenLabs
from elevenlabs.types.audio_output_multi import AudioOutputMulti
from elevenlabs.types.close_context import CloseContext
from elevenlabs.types.close_socket import CloseSocket
from elevenlabs.types.final_output_multi import FinalOutputMulti
from elevenlabs.types.flush_context import FlushContext
from elevenlabs.types.initialise_context import InitialiseContext
from elevenlabs.types.send_text_multi import SendTextMulti
from websockets.sync.client import connect

http, key, ms_per_character = sys.argv[1], sys.argv[2], int(sys.argv[3])
ws = http.replace("http://", "ws://")

# One text a socket.
library = ElevenLabs(api_key=key, base_url=http)
library.text_to_speech._ws_base_url = ws
sound = b"".join(library.text_to_speech.convert_realtime(
    "voice1", text=iter(["Hello there. ", "How are you?"]), model_id="eleven_flash_v2_5", output_format="ulaw_8000"))
spoken = len("Hello there. How are you?") * ms_per_character * 8
assert 0.9 * spoken < len(sound) <= spoken, (len(sound), spoken)

# Contexts.
url = ws + "/v1/text-to-speech/voice1/multi-stream-input?model_id=eleven_flash_v2_5&output_format=ulaw_8000"


def send(socket, message):
    socket.send(json.dumps({k: v for k, v in message.dict().items() if v is not None}))


def read(socket):
    """(context, samples, whether it is the end)"""
    message = json.loads(socket.recv(timeout=10))
    if message.get("isFinal"):
        return FinalOutputMulti.model_validate(message).context_id, 0, True
    audio = AudioOutputMulti.model_validate(message)
    starts = audio.alignment.char_start_times_ms
    assert len(starts) == len(audio.alignment.chars) and starts[0] == 0
    return audio.context_id, len(base64.b64decode(audio.audio)), False


with connect(url, additional_headers={"xi-api-key": key}) as socket:
    send(socket, InitialiseContext(text=" ", context_id="a"))
    send(socket, SendTextMulti(text="One sentence that is spoken. ", context_id="a"))
    send(socket, FlushContext(context_id="a", flush=True))
    send(socket, CloseContext(context_id="a", close_context=True))
    total, end = 0, False
    while not end:
        context, samples, end = read(socket)
        assert context == "a"
        total += samples
    assert total == len("One sentence that is spoken.") * ms_per_character * 8, total

    # A flush alone brings sound and no end.
    send(socket, InitialiseContext(text=" ", context_id="b"))
    send(socket, SendTextMulti(text="Hey. ", context_id="b"))
    send(socket, FlushContext(context_id="b", flush=True))
    assert read(socket)[0] == "b"
    try:
        socket.recv(timeout=0.2)
        raise SystemExit("a flush brought more than its sound")
    except TimeoutError:
        pass

    # Five contexts at once, and not six.
    for name in "cdefg":
        send(socket, InitialiseContext(text=" ", context_id=name))
    try:
        while True:
            refused = json.loads(socket.recv(timeout=5))
            assert refused["code"] == 1008, refused
    except websockets.ConnectionClosed as closed:
        assert closed.rcvd.code == 1008, closed

with connect(url, additional_headers={"xi-api-key": key}) as socket:
    send(socket, CloseSocket(close_socket=True))
    try:
        socket.recv(timeout=5)
    except websockets.ConnectionClosedOK:
        pass

try:
    connect(url, additional_headers={"xi-api-key": "wrong"})
    raise SystemExit("a wrong key was taken")
except websockets.InvalidStatus as error:
    assert error.response.status_code == 401
print("fine")
