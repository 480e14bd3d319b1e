"""The openai library against our double of OpenAI: the double must be one that it accepts."""

import json
import sys

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

base, key = sys.argv[1:]
client = openai.OpenAI(api_key=key, base_url=base, max_retries=0)
TOOLS = [{"type": "function", "function": {"name": "connect_call", "description": "d", "parameters": {
    "type": "object", "properties": {"department": {"type": "string"}}}}}]

# A reply, streamed: the pieces are valid chunks and give the whole.
words, usage = "", None
for chunk in client.chat.completions.create(
        model="gpt-4o-mini", stream=True, stream_options={"include_usage": True},
        messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "héllo 🙂"}]):
    ChatCompletionChunk.model_validate(chunk.model_dump())
    for choice in chunk.choices:
        words += choice.delta.content or ""
    usage = chunk.usage or usage
assert words == "You said: héllo 🙂", words
assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

# A tool, streamed: the library's own accumulator puts the fragments together.
with client.chat.completions.stream(
        model="gpt-4o-mini", tools=TOOLS, messages=[{"role": "user", "content": "connect me"}]) as stream:
    call = stream.get_final_completion().choices[0].message.tool_calls[0]
assert call.function.name == "connect_call", call
assert json.loads(call.function.arguments) == {"department": "sales", "note": "größer"}, call

# The tool answered, whole.
answer = client.chat.completions.create(model="gpt-4o-mini", tools=TOOLS, messages=[
    {"role": "user", "content": "connect me"},
    {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
    {"role": "tool", "tool_call_id": call.id, "content": "{}"}, {"role": "user", "content": "thanks"}])
ChatCompletion.model_validate(answer.model_dump())
assert answer.choices[0].message.content == "You said: thanks"

# A tool without its answer is refused, as the vendor does.
try:
    client.chat.completions.create(model="gpt-4o-mini", messages=[
        {"role": "assistant", "tool_calls": [call.model_dump()]}, {"role": "user", "content": "well?"}])
    raise SystemExit("an unanswered tool call was taken")
except openai.BadRequestError as error:
    assert "not answered" in error.message

# A wrong key.
try:
    openai.OpenAI(api_key="wrong", base_url=base, max_retries=0).chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}])
    raise SystemExit("a wrong key was taken")
except openai.AuthenticationError as error:
    assert error.code == "invalid_api_key"

# Speech: 20 ms of 24 kHz, 16 bits, for each character.
sound = client.audio.speech.create(
    model="gpt-4o-mini-tts", input="hello", voice="alloy", response_format="pcm").read()
assert len(sound) == 5 * 20 * 24 * 2, len(sound)
print("fine")
