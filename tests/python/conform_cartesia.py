"""The cartesia library against our double of Cartesia; every message is judged by its types."""

import base64
import sys

from cartesia import Cartesia
from cartesia.types import WebsocketResponse
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

http, key, ms_per_character = sys.argv[1], sys.argv[2], int(sys.argv[3])
ws = http.replace("http://", "ws://")
judge = TypeAdapter(WebsocketResponse)
VOICE = {"mode": "id", "id": "71a7ad14-091c-4e8e-a314-022ece01c121"}
FORMAT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}


def client(key):
    return Cartesia(api_key=key, base_url=http, websocket_base_url=ws)


def piece(context, text, more):
    return {"model_id": "sonic-3", "transcript": text, "voice": VOICE, "output_format": FORMAT,
            "context_id": context, "continue": more, "add_timestamps": True, "max_buffer_delay_ms": 0}


def until(connection, kind):
    """All messages up to one of this kind; each is as the library has it."""
    messages = []
    while True:
        messages.append(connection.recv())
        judge.validate_python(messages[-1].model_dump(exclude_unset=True))
        if messages[-1].type == kind:
            return messages


with client(key).tts.websocket_connect() as connection:
    connection.send(piece("one", "Hello there. ", True))
    connection.send(piece("one", "Bye.", True))
    connection.send(piece("one", "", False))
    messages = until(connection, "done")
    sound = sum(len(base64.b64decode(m.data)) for m in messages if m.type == "chunk")
    assert sound == len("Hello there.Bye.") * ms_per_character * 8, sound
    times = [m.word_timestamps for m in messages if m.type == "timestamps"]
    assert [word for time in times for word in time.words] == ["Hello", "there.", "Bye."], times
    assert abs(times[1].end[-1] - 0.4) < 0.001, times

    # A context that was ended takes nothing more; one that was cancelled neither.
    connection.send(piece("one", "Again.", True))
    assert until(connection, "error")[-1].status_code == 400
    connection.send(piece("two", "Hello.", True))
    until(connection, "timestamps")
    connection.send({"context_id": "two", "cancel": True})
    connection.send(piece("two", "Again.", True))
    assert until(connection, "error")[-1].context_id == "two"

try:
    with client("wrong").tts.websocket_connect():
        raise SystemExit("a wrong key was taken")
except InvalidStatus as error:
    assert error.response.status_code == 401, error
print("fine")
