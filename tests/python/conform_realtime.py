"""The openai library against our double of OpenAI Realtime; every event is judged by its types."""

import base64
import sys

import openai
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

base, key = sys.argv[1:]
judge = TypeAdapter(RealtimeServerEvent)
client = openai.OpenAI(api_key=key, base_url=base)


def until(connection, kind):
    """All events up to one of this kind; each is as the library has it."""
    events = []
    while True:
        events.append(connection.recv())
        judge.validate_python(events[-1].model_dump(exclude_unset=True))
        if events[-1].type == kind:
            return events


with client.realtime.connect(model="gpt-realtime-2.1") as connection:
    until(connection, "session.created")
    connection.session.update(session={
        "type": "realtime", "instructions": "Be brief.", "output_modalities": ["audio"],
        "audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None,
                            "transcription": {"model": "gpt-4o-mini-transcribe"}},
                  "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"}}})
    until(connection, "session.updated")

    # A question by sound, written down, and its answer.
    for _ in range(5):
        connection.input_audio_buffer.append(audio=base64.b64encode(bytes(800)).decode())
    connection.input_audio_buffer.commit()
    connection.response.create()
    events = until(connection, "response.done")
    heard = [e for e in events if e.type == "conversation.item.input_audio_transcription.completed"]
    assert [e.transcript for e in heard] == ["my name is eve"], heard
    words = "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")
    assert words == "Hello Eve.", words
    sounds = [e for e in events if e.type == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(e.delta)) for e in sounds) == len(words) * 25 * 8
    call = next(e for e in events if e.type == "response.output_item.done").item
    assert (call.type, call.name, call.arguments) == ("function_call", "look_up", '{"a":1}'), call

    # Cut after half a word; beyond its end is refused, and the conversation goes on.
    item = sounds[0].item_id
    connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=100)
    until(connection, "conversation.item.truncated")
    connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=10_000)
    assert until(connection, "error")[-1].error.code == "item_truncate_invalid"

    # A tool's answer, and the model goes on.
    connection.conversation.item.create(item={"type": "function_call_output", "call_id": call.call_id, "output": "{}"})
    until(connection, "conversation.item.done")
    connection.response.create()
    assert until(connection, "response.done")[-1].response.status == "completed"

    # Fixed words, beside the conversation.
    connection.response.create(response={"conversation": "none", "input": [], "instructions": "Say exactly this: Hi."})
    events = until(connection, "response.done")
    assert [e.transcript for e in events if e.type == "response.output_audio_transcript.done"] == ["Hi."]

try:
    with openai.OpenAI(api_key="wrong", base_url=base).realtime.connect(model="gpt-realtime-2.1"):
        raise SystemExit("a wrong key was taken")
except InvalidStatus as error:
    assert error.response.status_code == 401, error
print("fine")
