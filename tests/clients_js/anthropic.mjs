// `@anthropic-ai/sdk`, and its clients of Amazon Bedrock and of Vertex AI: messages.

import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";
import Anthropic from "@anthropic-ai/sdk";
import { AnthropicVertex } from "@anthropic-ai/vertex-sdk";

import { CITY, TEXT, googles, run, task, thrown } from "./cases.mjs";

const options = { baseURL: task.url, maxRetries: 0 };
const place = { baseURL: `${task.url}/v1`, projectId: "any", region: "global" };
const open = {
  anthropic: (apiKey) => new Anthropic({ ...options, apiKey }),
  bedrock: (apiKey) => new AnthropicBedrock({ ...options, apiKey, awsRegion: "eu-central-1" }),
  vertex: (key) => new AnthropicVertex({ ...options, ...place, authClient: googles(key) }),
}[task.client];
const client = open(task.key);
const stranger = open("sk-nobody");
const { messages } = client;
const user = (content) => [{ role: "user", content }];
const rest = (model) => ({ model, max_tokens: 2048 });
const tools = [{ name: "get_weather", description: "The weather", input_schema: CITY }];
const thinking = { type: "enabled", budget_tokens: 1024 };

const joined = (content, type, member) =>
  content.filter((block) => block.type === type).map((block) => block[member]).join("");

const answered = (message) => ({
  text: joined(message.content, "text", "text"),
  reasoning: joined(message.content, "thinking", "thinking"),
  kinds: message.content.map(({ type }) => type),
  finish: message.stop_reason,
  usage: [message.usage.input_tokens, message.usage.output_tokens],
});

const twoPhases = async (model, ask) => {
  const asked = user(TEXT.tools);
  const first = await ask({ ...rest(model), messages: asked, tools });
  const calls = first.content.filter(({ type }) => type === "tool_use");
  const results = calls.map(({ id }) => ({
    type: "tool_result",
    tool_use_id: id,
    content: `rain ${id}`,
  }));
  const turns = [...asked, { role: "assistant", content: first.content }, ...user(results)];
  return {
    ...answered(first),
    calls: calls.map(({ name, input }) => ({ name, given: input })),
    ids: calls.map(({ id }) => id),
    then: answered(await ask({ ...rest(model), messages: turns, tools })),
  };
};

const plain = (body) => messages.create(body);
const streamed = (body) => messages.stream(body).finalMessage();

const cases = {
  plain: async ({ talk }) => answered(await plain({ ...rest(talk), messages: user(TEXT.plain) })),
  stream: async ({ talk }) => {
    const events = [];
    let text = "";
    const stream = messages.stream({ ...rest(talk), messages: user(TEXT.plain) });
    stream.on("streamEvent", ({ type }) => events.push(type));
    stream.on("text", (piece) => (text += piece));
    return { ...answered(await stream.finalMessage()), pieces: text, events };
  },
  reasoning: async ({ talk }) =>
    answered(await plain({ ...rest(talk), messages: user(TEXT.reasoning), thinking })),
  reasoning_stream: async ({ talk }) =>
    answered(await streamed({ ...rest(talk), messages: user(TEXT.reasoning), thinking })),
  form: async ({ talk }) => {
    const output_config = { format: { type: "json_schema", schema: task.schema } };
    const told = await plain({ ...rest(talk), messages: user("a trip"), output_config });
    return JSON.parse(answered(told).text);
  },
  image: async ({ talk }) => {
    const source = { type: "base64", media_type: "image/png", data: task.picture };
    const content = [{ type: "text", text: TEXT.plain }, { type: "image", source }];
    return answered(await plain({ ...rest(talk), messages: user(content) }));
  },
  tools: ({ talk }) => twoPhases(talk, plain),
  tools_stream: ({ talk }) => twoPhases(talk, streamed),
  // The library's own loop, which streams, calls the functions and goes on by itself.
  tools_loop: async ({ talk }) => {
    const seen = [];
    const work = (given) => {
      seen.push(given);
      return "rain";
    };
    const runnable = { ...tools[0], type: "custom", run: work, parse: (given) => given };
    const loop = client.beta.messages.toolRunner({
      ...rest(talk),
      messages: user(TEXT.tools),
      tools: [runnable],
      stream: true,
    });
    const turns = [];
    for await (const stream of loop) turns.push(answered(await stream.finalMessage()).kinds);
    return { seen, turns };
  },
  count: ({ talk }) => messages.countTokens({ model: talk, messages: user("a b c") }),
  wrong_key: ({ talk }) =>
    thrown(() => stranger.messages.create({ ...rest(talk), messages: user("x") })),
  wrong_model: () => thrown(() => plain({ ...rest("no-such"), messages: user("x") })),
  refused: ({ talk }) => thrown(() => plain({ ...rest(talk), messages: user(TEXT.refused) })),
  throttled: ({ throttle }) =>
    thrown(() => plain({ ...rest(throttle), messages: user(TEXT.throttled) })),
  broken: async ({ broken }) => {
    let text = "";
    const threw = await thrown(() => {
      const stream = messages.stream({ ...rest(broken), messages: user(TEXT.broken) });
      stream.on("text", (piece) => (text += piece));
      return stream.finalMessage();
    });
    return { ...threw, text };
  },
};

await run(cases);
