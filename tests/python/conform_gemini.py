"""The google-genai library against our double of Gemini, written and live."""

import asyncio
import sys

from google import genai
from google.genai import live, types
from google.genai._api_client import BaseApiClient

http, key = sys.argv[1:]
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="look_up", description="d", parameters_json_schema={"type": "object", "properties": {}})])


def client(key):
    return genai.Client(api_key=key, http_options={"base_url": http})


ours, theirs = client(key), client("wrong")


# Written: words, then words and a tool.
def ask(contents):
    config = types.GenerateContentConfig(system_instruction="s", tools=[TOOL],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    return list(ours.models.generate_content_stream(model="gemini-x", contents=contents, config=config))


chunks = ask("héllo 🙂")
words = "".join(chunk.text or "" for chunk in chunks)
assert words == "You said: héllo 🙂", words
assert chunks[-1].usage_metadata.total_token_count == 29
chunks = ask("look")
calls = [call for chunk in chunks for call in chunk.function_calls or []]
assert [(call.name, call.args) for call in calls] == [("look_up", {"note": "größer"})], calls

try:
    list(theirs.models.generate_content_stream(model="gemini-x", contents="x"))
    raise SystemExit("a wrong key was taken")
except genai.errors.ClientError as error:
    assert error.code == 400, error

# Live. The library insists on TLS for keys: here it is told the plain address.
BaseApiClient._websocket_base_url = lambda self, *_: http.replace("http://", "ws://")
plain = live.ws_connect
live.ws_connect = lambda uri, **kwargs: plain(uri, **{k: v for k, v in kwargs.items() if k != "ssl"})


async def converse():
    config = types.LiveConnectConfig(
        response_modalities=["AUDIO"], tools=[TOOL], input_audio_transcription={}, output_audio_transcription={},
        realtime_input_config={"automatic_activity_detection": {"disabled": True}})
    async with ours.aio.live.connect(model="gemini-x-live", config=config) as session:
        await session.send_realtime_input(activity_start=types.ActivityStart())
        await session.send_realtime_input(audio=types.Blob(data=bytes(1600), mime_type="audio/pcm;rate=8000"))
        await session.send_realtime_input(activity_end=types.ActivityEnd())
        heard, said, sound = "", "", 0
        async for message in session.receive():
            content = message.server_content
            if content and content.input_transcription:
                heard += content.input_transcription.text
            if content and content.output_transcription:
                said += content.output_transcription.text
            sound += len(message.data or b"")
        assert (heard, said) == ("my name is eve", "You said: my name is eve"), (heard, said)
        assert sound == len(said) * 25 * 48, sound

        await session.send_realtime_input(text="look")
        async for message in session.receive():
            if message.tool_call:
                call = message.tool_call.function_calls[0]
                break
        assert (call.name, call.args) == ("look_up", {"note": "größer"}), call
        await session.send_tool_response(function_responses=[
            types.FunctionResponse(id=call.id, name=call.name, response={"output": "found"})])
        async for message in session.receive():
            pass


asyncio.run(asyncio.wait_for(converse(), 60))
print("fine")
