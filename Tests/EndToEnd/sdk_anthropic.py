# The official anthropic SDK against a gateway: messages, streams, models, and the errors it must understand.

import os

import anthropic

url, key, limited = os.environ["WEIR_URL"], os.environ["WEIR_KEY"], os.environ["WEIR_LIMITED_KEY"]
client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=30)
ask = {"model": "claude-mock", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}]}

answer = client.messages.create(**ask)
assert answer.content[0].text == "Mock reply: Hello there", answer
assert answer.stop_reason == "end_turn"
assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0

with client.messages.stream(**ask) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text == "Mock reply: Hello there", text
assert final.usage.output_tokens == answer.usage.output_tokens

assert client.messages.create(**{**ask, "max_tokens": 2}).stop_reason == "max_tokens"

tool = {"name": "look", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}
called = client.messages.create(**ask, tools=[tool], tool_choice={"type": "any"})
assert any(block.type == "tool_use" and block.name == "look" for block in called.content)

names = {model.id for model in client.models.list()}
assert "claude-mock" in names and "mock-large" not in names, names


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.message and error.request_id, error
        assert error.body["type"] == "error", error.body
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


refused(anthropic.AuthenticationError, lambda: anthropic.Anthropic(
    base_url=url, api_key="wk_0000000000000000_" + "0" * 32, max_retries=0).messages.create(**ask))
refused(anthropic.PermissionDeniedError, lambda: client.messages.create(**{**ask, "model": "mock-large"}))
refused(anthropic.NotFoundError, lambda: client.messages.create(**{**ask, "model": "no-such-model"}))
second = anthropic.Anthropic(base_url=url, api_key=limited, max_retries=2, timeout=30)
second.messages.create(**ask)
error = refused(anthropic.RateLimitError, lambda: second.messages.create(**ask))
assert error.response.headers["x-weir-origin"] == "policy"
print("all good")
