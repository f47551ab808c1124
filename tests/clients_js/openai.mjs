// `openai`: chat completions and responses.

import OpenAI from "openai";

import { CITY, TEXT, run, task, thrown } from "./cases.mjs";

const options = { baseURL: `${task.url}/v1`, maxRetries: 0 };
const client = new OpenAI({ ...options, apiKey: task.key });
const stranger = new OpenAI({ ...options, apiKey: "sk-nobody" });
const picture = `data:image/png;base64,${task.picture}`;

// ---- chat completions

const chat = client.chat.completions;
const user = (content) => [{ role: "user", content }];
const weather = { name: "get_weather", description: "The weather", parameters: CITY };
const tools = [{ type: "function", function: weather }];
const trip = { name: "trip", schema: task.schema, strict: true };

const whole = async (body) => {
  const told = await chat.create(body);
  const [{ message, finish_reason: finish }] = told.choices;
  return {
    text: message.content,
    reasoning: message.reasoning_content ?? "",
    finish,
    usage: [told.usage.prompt_tokens, told.usage.completion_tokens],
    message,
    id: told._request_id,
  };
};

const pieces = async (body) => {
  const stream = await chat.create({ ...body, stream: true, stream_options: { include_usage: true } });
  const told = { text: "", reasoning: "", finish: "", usage: null, chunks: 0 };
  for await (const chunk of stream) {
    told.chunks += 1;
    for (const { delta, finish_reason: finish } of chunk.choices) {
      told.text += delta.content ?? "";
      told.reasoning += delta.reasoning_content ?? "";
      told.finish = finish ?? told.finish;
    }
    if (chunk.usage) told.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
  }
  return told;
};

const called = ({ function: { name, arguments: given } }) => ({ name, given: JSON.parse(given) });

const chatCases = {
  chat_plain: ({ talk }) => whole({ model: talk, messages: user(TEXT.plain) }),
  chat_stream: ({ talk }) => pieces({ model: talk, messages: user(TEXT.plain) }),
  chat_reasoning: ({ talk }) =>
    whole({ model: talk, messages: user(TEXT.reasoning), reasoning_effort: "low" }),
  chat_reasoning_stream: ({ talk }) =>
    pieces({ model: talk, messages: user(TEXT.reasoning), reasoning_effort: "low" }),
  chat_form: async ({ talk }) => {
    const response_format = { type: "json_schema", json_schema: trip };
    return JSON.parse((await whole({ model: talk, messages: user("a trip"), response_format })).text);
  },
  chat_image: ({ talk }) => {
    const image = { type: "image_url", image_url: { url: picture } };
    return whole({ model: talk, messages: user([{ type: "text", text: TEXT.plain }, image]) });
  },
  chat_tools: async ({ talk }) => {
    const messages = user(TEXT.tools);
    const first = await whole({ model: talk, messages, tools });
    const calls = first.message.tool_calls;
    const results = calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: `rain ${id}` }));
    const then = await whole({ model: talk, messages: [...messages, first.message, ...results], tools });
    return { text: first.text, calls: calls.map(called), ids: calls.map(({ id }) => id), then };
  },
  // The library's own loop, which streams, calls the functions and goes on by itself.
  chat_tools_stream: async ({ talk }) => {
    const seen = [];
    const work = (given) => {
      seen.push(given);
      return "rain";
    };
    const runnable = { ...weather, function: work, parse: JSON.parse };
    const loop = chat.runTools({
      model: talk,
      messages: user(TEXT.tools),
      tools: [{ type: "function", function: runnable }],
      stream: true,
    });
    return { final: await loop.finalContent(), seen, turns: loop.messages.map(({ role }) => role) };
  },
};

// ---- responses

const { responses } = client;
const declared = [{ type: "function", strict: false, ...weather }];

const answered = (response) => ({
  text: response.output_text,
  status: response.status,
  kinds: response.output.map(({ type }) => type),
  usage: [response.usage.input_tokens, response.usage.output_tokens],
});

const responsesCases = {
  responses_plain: async ({ talk }) =>
    answered(await responses.create({ model: talk, input: TEXT.plain })),
  responses_reasoning_stream: async ({ talk }) => {
    const reasoning = { effort: "low", summary: "auto" };
    const stream = responses.stream({ model: talk, input: TEXT.reasoning, reasoning });
    const events = [];
    let thought = "";
    for await (const event of stream) {
      events.push([event.type, event.sequence_number]);
      if (event.type === "response.reasoning_summary_text.delta") thought += event.delta;
    }
    return { ...answered(await stream.finalResponse()), events, thought };
  },
  responses_form: async ({ talk }) => {
    const text = { format: { type: "json_schema", ...trip } };
    return JSON.parse((await responses.create({ model: talk, input: "a trip", text })).output_text);
  },
  responses_image: async ({ talk }) => {
    const content = [
      { type: "input_text", text: TEXT.plain },
      { type: "input_image", image_url: picture, detail: "auto" },
    ];
    return answered(await responses.create({ model: talk, input: [{ role: "user", content }] }));
  },
  responses_tools: async ({ talk }) => {
    const input = [{ role: "user", content: TEXT.tools }];
    const rest = { model: talk, tools: declared, store: false };
    const stream = responses.stream({ ...rest, input });
    const first = await stream.finalResponse();
    const calls = first.output.filter(({ type }) => type === "function_call");
    const outputs = calls.map(({ call_id }) => ({
      type: "function_call_output",
      call_id,
      output: `rain ${call_id}`,
    }));
    const then = await responses.create({ ...rest, input: [...input, ...first.output, ...outputs] });
    return {
      text: first.output_text,
      calls: calls.map(({ name, arguments: given }) => ({ name, given: JSON.parse(given) })),
      ids: calls.map(({ call_id }) => call_id),
      then: answered(then),
    };
  },
};

// ---- errors

const errorCases = {
  wrong_key: ({ talk }) =>
    thrown(() => stranger.chat.completions.create({ model: talk, messages: user("x") })),
  wrong_model: () => thrown(() => chat.create({ model: "no-such", messages: user("x") })),
  responses_wrong_model: () => thrown(() => responses.create({ model: "no-such", input: "x" })),
  refused: ({ talk }) => thrown(() => chat.create({ model: talk, messages: user(TEXT.refused) })),
  throttled: ({ throttle }) =>
    thrown(() => chat.create({ model: throttle, messages: user(TEXT.throttled) })),
  broken: ({ broken }) => thrown(() => pieces({ model: broken, messages: user(TEXT.broken) })),
  responses_broken: async ({ broken }) => {
    const events = [];
    const threw = await thrown(async () => {
      const body = { model: broken, input: TEXT.broken, stream: true };
      for await (const event of await responses.create(body)) events.push(event);
    });
    return { ...threw, last: events.at(-1) ?? null };
  },
};

await run({ ...chatCases, ...responsesCases, ...errorCases });
