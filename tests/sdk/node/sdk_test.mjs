// The official Node SDK against the gateway. Prints one `CASE passed|failed NAME [reason]` line per case.
// Arguments: the gateway's /v1 URL, the simulated backend's URL, and an API URL that nothing listens on.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, backendURL, deadURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", timeout: 20_000 });
const messages = [{ role: "user", content: "Hello" }];
const model = "m1";

const controls = (named) => ({
  headers: Object.fromEntries(Object.entries(named).map(([key, value]) => ["x-sim-" + key, String(value)])),
});
const backend = async () => (await fetch(backendURL + "/sim/stats")).json();
const setBackendFault = (fault, count) =>
  fetch(backendURL + "/sim/faults", { method: "POST", body: JSON.stringify({ fault, every: 1, count }) });
const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};
const eventually = async (condition, milliseconds = 5000) => {
  const end = Date.now() + milliseconds;
  while (!(await condition())) {
    assert.ok(Date.now() < end, "did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
const tool = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } };

const cases = {
  async models_list_and_retrieve() {
    const ids = (await collect(await client.models.list())).map((entry) => entry.id);
    assert.ok(ids.includes("m1"));
    assert.equal((await client.models.retrieve("org/m2")).id, "org/m2");
  },
  async chat() {
    const answer = await client.chat.completions.create({ model, messages }, controls({ tokens: 5 }));
    assert.equal(answer.usage.completion_tokens, 5);
    assert.ok(answer._request_id);
  },
  async chat_streamed_without_usage() {
    const chunks = await collect(
      await client.chat.completions.create({ model, messages, stream: true }, controls({ tokens: 7 })));
    assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    assert.equal(text.trim().split(" ").length, 7);
  },
  async chat_streamed_with_usage() {
    const chunks = await collect(await client.chat.completions.create(
      { model, messages, stream: true, stream_options: { include_usage: true } }, controls({ tokens: 4 })));
    assert.equal(chunks.at(-1).usage.completion_tokens, 4);
    assert.ok(chunks.slice(0, -1).every((chunk) => !chunk.usage));
  },
  async tools() {
    const answer = await client.chat.completions.create({ model, messages, tools: [tool], tool_choice: "required" });
    assert.equal(answer.choices[0].message.tool_calls[0].function.name, "get_weather");
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model, input: ["a", "b"] });
    assert.equal(answer.data.length, 2);
  },
  async responses_create_retrieve_delete() {
    const created = await client.responses.create({ model, input: "Hello" });
    assert.ok(created.output_text);
    assert.equal((await client.responses.retrieve(created.id)).id, created.id);
    await client.responses.delete(created.id);
    await assert.rejects(client.responses.retrieve(created.id),
      (error) => error instanceof OpenAI.NotFoundError && error.code === "response_not_found");
  },
  async responses_streamed() {
    const types = (await collect(await client.responses.create({ model, input: "Hello", stream: true })))
      .map((event) => event.type);
    assert.equal(types[0], "response.created");
    assert.equal(types.at(-1), "response.completed");
  },
  async responses_background_and_cancel() {
    const created = await client.responses.create({ model, input: "Hello", background: true },
      controls({ tokens: 200, "inter-token-ms": 20 }));
    assert.equal((await client.responses.cancel(created.id)).status, "cancelled");
  },
  async unknown_model_is_a_not_found_error_without_retries() {
    const start = Date.now();
    await assert.rejects(client.chat.completions.create({ model: "nobody", messages }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      assert.equal(error.headers.get("x-should-retry"), "false");
      return true;
    });
    assert.ok(Date.now() - start < 400, "the SDK has retried");
  },
  async malformed_request_is_a_bad_request_error() {
    await assert.rejects(
      client.chat.completions.create({ model, messages }, { headers: { "x-model-id": "org/m2" } }),
      (error) => error instanceof OpenAI.BadRequestError && error.code === "model_mismatch");
  },
  async backend_503_is_retried_and_succeeds() {
    await setBackendFault("status=503", 2);
    assert.ok((await client.chat.completions.create({ model, messages })).choices[0].message.content);
  },
  async backend_429_is_a_rate_limit_error() {
    await assert.rejects(
      client.chat.completions.create({ model, messages }, { maxRetries: 0, ...controls({ fault: "status=429" }) }),
      (error) => error instanceof OpenAI.RateLimitError);
  },
  async unreachable_backend_is_an_internal_server_error() {
    await assert.rejects(client.chat.completions.create({ model: "dead", messages }, { maxRetries: 0 }),
      (error) => error instanceof OpenAI.InternalServerError && error.headers.get("x-should-retry") === "true");
  },
  async nothing_listening_is_a_connection_error() {
    const nowhere = new OpenAI({ baseURL: deadURL, apiKey: "unused", maxRetries: 0 });
    await assert.rejects(nowhere.chat.completions.create({ model, messages }),
      (error) => error instanceof OpenAI.APIConnectionError);
  },
  async cut_stream_throws_and_never_looks_complete() {
    const seen = [];
    await assert.rejects(async () => {
      const stream = await client.chat.completions.create({ model, messages, stream: true },
        controls({ tokens: 9, fault: "die@tokens=4" }));
      for await (const chunk of stream) seen.push(chunk);
    }, (error) => error instanceof OpenAI.APIError);
    assert.ok(seen.length > 0);
  },
  async leaving_a_stream_stops_the_backend() {
    const stream = await client.chat.completions.create({ model, messages, stream: true },
      controls({ tokens: 5000, "inter-token-ms": 10 }));
    for await (const chunk of stream) {
      assert.ok(chunk);
      break;
    }
    stream.controller.abort();
    await eventually(async () => (await backend()).live === 0);
  },
  async fifty_at_a_time() {
    const one = async (index) => {
      if (index % 2 === 0) {
        const chunks = await collect(await client.chat.completions.create({ model, messages, stream: true },
          { maxRetries: 0, ...controls({ tokens: 20, "inter-token-ms": 2 }) }));
        return chunks.length >= 20;
      }
      const answer = await client.chat.completions.create({ model, messages },
        { maxRetries: 0, ...controls({ tokens: 20 }) });
      return answer.usage.completion_tokens === 20;
    };
    assert.ok((await Promise.all(Array.from({ length: 50 }, (_, index) => one(index)))).every(Boolean));
  },
};

let failed = 0;
for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`CASE passed sdk.node.${name}`);
  } catch (error) {
    failed += 1;
    console.log(`CASE failed sdk.node.${name} ${String(error).replaceAll("\n", " ").slice(0, 300)}`);
  }
}
process.exit(failed ? 1 : 0);
