# The official openai SDK against a gateway: every call that an application makes, and the errors it must understand.

import os

import openai

url, key, limited = os.environ["WEIR_URL"] + "/v1", os.environ["WEIR_KEY"], os.environ["WEIR_LIMITED_KEY"]
client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=30)
ask = [{"role": "user", "content": "Hello there"}]

answer = client.chat.completions.create(model="mock-small", messages=ask)
assert answer.choices[0].message.content == "Mock reply: Hello there", answer
assert answer.choices[0].finish_reason == "stop"
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
assert answer._request_id

text, chunks = "", list(client.chat.completions.create(model="mock-small", messages=ask, stream=True))
for chunk in chunks:
    assert chunk.usage is None
    text += chunk.choices[0].delta.content or ""
assert text == "Mock reply: Hello there", text
assert chunks[-1].choices[0].finish_reason == "stop"

chunks = list(client.chat.completions.create(
    model="mock-small", messages=ask, stream=True, stream_options={"include_usage": True}))
assert chunks[-1].usage.total_tokens == answer.usage.total_tokens

tool = {"type": "function", "function": {"name": "look", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}
called = client.chat.completions.create(model="mock-small", messages=ask, tools=[tool], tool_choice="required")
assert called.choices[0].message.tool_calls[0].function.name == "look"

response = client.responses.create(model="mock-small", input="Hello there")
assert response.output_text == "Mock reply: Hello there"
assert response.usage.total_tokens > 0
text = ""
with client.responses.stream(model="mock-small", input="Hello there") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            text += event.delta
    assert stream.get_final_response().output_text == text == "Mock reply: Hello there"

vectors = client.embeddings.create(model="mock-embed", input=["a", "b"])
assert len(vectors.data) == 2 and len(vectors.data[0].embedding) > 0

names = {model.id for model in client.models.list()}
assert "mock-small" in names and "mock-large" not in names, names
assert client.models.retrieve("mock-small").id == "mock-small"


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.message and error.request_id, error
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def ask_for(model, **more):
    return lambda: client.chat.completions.create(model=model, messages=ask, **more)


refused(openai.AuthenticationError, lambda: openai.OpenAI(
    base_url=url, api_key="wk_0000000000000000_" + "0" * 32, max_retries=0).models.list())
refused(openai.PermissionDeniedError, ask_for("mock-large"))
refused(openai.NotFoundError, ask_for("no-such-model"))
refused(openai.BadRequestError, ask_for("mock-small", extra_body={"model": 7}))
second = openai.OpenAI(base_url=url, api_key=limited, max_retries=2, timeout=30)
second.chat.completions.create(model="mock-small", messages=ask)
error = refused(openai.RateLimitError, lambda: second.chat.completions.create(model="mock-small", messages=ask))
assert error.response.headers["x-weir-origin"] == "policy"

async def at_once():
    import asyncio
    many = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=30)
    answers = await asyncio.gather(*(many.chat.completions.create(
        model="mock-small", messages=[{"role": "user", "content": str(n)}]) for n in range(20)))
    assert [a.choices[0].message.content for a in answers] == [f"Mock reply: {n}" for n in range(20)]


import asyncio
asyncio.run(at_once())
print("all good")
