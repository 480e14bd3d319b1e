"""The anthropic library against our double of Anthropic."""

import sys

import anthropic

base, key = sys.argv[1:]
client = anthropic.Anthropic(api_key=key, base_url=base, max_retries=0)
TOOLS = [{"name": "look_up", "description": "d", "input_schema": {"type": "object", "properties": {}}}]


def ask(messages):
    with client.messages.stream(model="claude-x", max_tokens=100, system="s", messages=messages, tools=TOOLS) as stream:
        return stream.get_final_message()


# Words, then words and a tool: the library's own accumulator puts the pieces together.
answer = ask([{"role": "user", "content": [{"type": "text", "text": "héllo 🙂"}]}])
assert answer.content[0].text == "You said: héllo 🙂", answer
assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 8), answer
answer = ask([{"role": "user", "content": [{"type": "text", "text": "look"}]}])
assert answer.content[0].text == "Let me look.", answer
call = answer.content[1]
assert (call.type, call.name, call.input) == ("tool_use", "look_up", {"note": "größer"}), call

# The tool answered; without its answer it is refused, as the vendor does.
asked = [{"role": "user", "content": [{"type": "text", "text": "look"}]},
         {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]}]
result = {"type": "tool_result", "tool_use_id": call.id, "content": "found"}
ask([*asked, {"role": "user", "content": [result, {"type": "text", "text": "and"}]}])
try:
    ask([*asked, {"role": "user", "content": [{"type": "text", "text": "well?"}]}])
    raise SystemExit("an unanswered tool was taken")
except anthropic.BadRequestError as error:
    assert "tool_result" in str(error), error

try:
    client = anthropic.Anthropic(api_key="wrong", base_url=base, max_retries=0)
    ask([{"role": "user", "content": "x"}])
    raise SystemExit("a wrong key was taken")
except anthropic.AuthenticationError:
    pass
print("fine")
