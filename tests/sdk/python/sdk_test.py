"""The official Python SDK against the gateway. Prints one `CASE passed|failed NAME [reason]` line per case.

Arguments: the gateway's /v1 URL, the simulated backend's URL, and an API URL that nothing listens on.
"""
import asyncio
import json
import sys
import time
import urllib.request

import openai
from openai import AsyncOpenAI, OpenAI

base_url, backend_url, dead_url = sys.argv[1:4]
client = OpenAI(base_url=base_url, api_key="unused", timeout=20)
HELLO = [{"role": "user", "content": "Hello"}]
cases = []


def case(function):
    cases.append(function)
    return function


def controls(**named):
    """Headers that tell the simulated backend what to do."""
    return {"x-sim-" + name.replace("_", "-"): str(value) for name, value in named.items()}


def backend_stats():
    with urllib.request.urlopen(backend_url + "/sim/stats", timeout=5) as answer:
        return json.load(answer)


def set_backend_fault(fault, count):
    body = json.dumps({"fault": fault, "every": 1, "count": count}).encode()
    request = urllib.request.Request(backend_url + "/sim/faults", data=body, method="POST",
                                     headers={"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


def eventually(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def expect_error(kind, function):
    try:
        function()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


@case
def models_list_and_retrieve():
    assert "m1" in [model.id for model in client.models.list()]
    assert client.models.retrieve("m1").id == "m1"
    assert client.models.retrieve("org/m2").id == "org/m2"


@case
def chat():
    answer = client.chat.completions.create(model="m1", messages=HELLO, extra_headers=controls(tokens=5))
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens == 5, answer.usage
    assert answer._request_id


@case
def chat_streamed_without_usage():
    stream = client.chat.completions.create(model="m1", messages=HELLO, stream=True, extra_headers=controls(tokens=7))
    chunks = list(stream)
    assert all(chunk.choices for chunk in chunks), "a usage event reached a client that did not ask"
    assert all(chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).count(" ") == 7
    assert chunks[-1].choices[0].finish_reason == "stop"


@case
def chat_streamed_with_usage():
    stream = client.chat.completions.create(model="m1", messages=HELLO, stream=True,
                                            stream_options={"include_usage": True}, extra_headers=controls(tokens=4))
    chunks = list(stream)
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage.completion_tokens == 4 and chunks[-1].choices == []


@case
def chat_stream_helper_accumulates():
    with client.chat.completions.stream(model="m1", messages=HELLO, extra_headers=controls(tokens=3)) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content.count(" ") == 3


@case
def tools():
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    answer = client.chat.completions.create(model="m1", messages=HELLO, tools=[tool], tool_choice="required")
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    json.loads(call.function.arguments)


@case
def tools_streamed():
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    with client.chat.completions.stream(model="m1", messages=HELLO, tools=[tool], tool_choice="required") as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "get_weather"


@case
def legacy_completions():
    answer = client.completions.create(model="m1", prompt="Once", extra_headers=controls(tokens=3))
    assert answer.choices[0].text and answer.usage.completion_tokens == 3
    chunks = list(client.completions.create(model="m1", prompt="Once", stream=True, extra_headers=controls(tokens=3)))
    assert all(chunk.choices for chunk in chunks)


@case
def embeddings():
    answer = client.embeddings.create(model="m1", input=["a", "b"])
    assert len(answer.data) == 2 and answer.usage.prompt_tokens > 0


@case
def responses_create_retrieve_delete():
    created = client.responses.create(model="m1", input="Hello")
    assert created.output_text
    assert client.responses.retrieve(created.id).id == created.id
    assert client.responses.input_items.list(created.id).data is not None
    follow = client.responses.create(model="m1", input="More", previous_response_id=created.id)
    assert follow.previous_response_id == created.id
    client.responses.delete(created.id)
    error = expect_error(openai.NotFoundError, lambda: client.responses.retrieve(created.id))
    assert error.code == "response_not_found", error.code


@case
def responses_streamed():
    types = [event.type for event in client.responses.create(model="m1", input="Hello", stream=True)]
    assert types[0] == "response.created" and types[-1] == "response.completed", types


@case
def responses_background_and_cancel():
    created = client.responses.create(model="m1", input="Hello", background=True,
                                      extra_headers=controls(tokens=200, inter_token_ms=20))
    cancelled = client.responses.cancel(created.id)
    assert cancelled.status == "cancelled", cancelled.status


@case
def unknown_model_is_a_not_found_error_without_retries():
    start = time.monotonic()
    error = expect_error(openai.NotFoundError, lambda: client.chat.completions.create(model="nobody", messages=HELLO))
    assert error.code == "model_not_found" and "nobody" in error.message
    assert error.response.headers["x-should-retry"] == "false"
    assert error.request_id
    assert time.monotonic() - start < 0.4, "the SDK has retried"


@case
def malformed_request_is_a_bad_request_error():
    error = expect_error(openai.BadRequestError, lambda: client.chat.completions.create(
        model="m1", messages=HELLO, extra_headers={"x-model-id": "org/m2"}))
    assert error.code == "model_mismatch", error.code


@case
def backend_503_is_retried_and_succeeds():
    set_backend_fault("status=503", 2)
    answer = client.chat.completions.create(model="m1", messages=HELLO)
    assert answer.choices[0].message.content


@case
def backend_429_is_a_rate_limit_error_after_retries():
    once = client.with_options(max_retries=0)
    error = expect_error(openai.RateLimitError, lambda: once.chat.completions.create(
        model="m1", messages=HELLO, extra_headers=controls(fault="status=429")))
    assert error.status_code == 429


@case
def unreachable_backend_is_an_internal_server_error():
    once = client.with_options(max_retries=0)
    error = expect_error(openai.InternalServerError, lambda: once.chat.completions.create(model="dead", messages=HELLO))
    assert error.status_code in (502, 503), error.status_code
    assert error.response.headers["x-should-retry"] == "true"


@case
def nothing_listening_is_a_connection_error():
    nowhere = OpenAI(base_url=dead_url, api_key="unused", max_retries=0)
    expect_error(openai.APIConnectionError, lambda: nowhere.models.list())


@case
def cut_stream_raises_and_never_looks_complete():
    seen = []

    def read():
        for chunk in client.chat.completions.create(model="m1", messages=HELLO, stream=True,
                                                    extra_headers=controls(tokens=9, fault="die@tokens=4")):
            seen.append(chunk)

    error = expect_error(openai.APIError, read)
    assert not isinstance(error, openai.APIConnectionError), "the cut came without an error event"
    assert seen, "the tokens before the cut were lost"


@case
def backend_500_is_an_internal_server_error():
    once = client.with_options(max_retries=0)
    expect_error(openai.InternalServerError, lambda: list(once.chat.completions.create(
        model="m1", messages=HELLO, stream=True, extra_headers=controls(tokens=9, fault="status=500"))))


@case
def leaving_a_stream_stops_the_backend():
    stream = client.chat.completions.create(model="m1", messages=HELLO, stream=True,
                                            extra_headers=controls(tokens=5000, inter_token_ms=10))
    next(iter(stream))
    assert backend_stats()["live"] >= 1
    stream.close()
    eventually(lambda: backend_stats()["live"] == 0)


@case
def timeout_of_the_client_stops_the_backend():
    impatient = client.with_options(max_retries=0, timeout=0.3)
    expect_error(openai.APITimeoutError, lambda: impatient.chat.completions.create(
        model="m1", messages=HELLO, extra_headers=controls(tokens=5, ttft_ms=8000)))
    eventually(lambda: backend_stats()["live"] == 0)


@case
def fifty_at_a_time():
    async def one(session, index):
        if index % 2 == 0:
            stream = await session.chat.completions.create(model="m1", messages=HELLO, stream=True,
                                                           extra_headers=controls(tokens=20, inter_token_ms=2))
            return len([chunk async for chunk in stream]) >= 20
        answer = await session.chat.completions.create(model="m1", messages=HELLO, extra_headers=controls(tokens=20))
        return answer.usage.completion_tokens == 20

    async def run():
        async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as session:
            return await asyncio.gather(*(one(session, index) for index in range(50)))

    assert all(asyncio.run(run()))


def main():
    failed = 0
    for function in cases:
        name = "sdk.python." + function.__name__
        try:
            function()
            print(f"CASE passed {name}", flush=True)
        except Exception as error:  # any failure of a case is that case's result
            failed += 1
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            print(f"CASE failed {name} {reason}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
