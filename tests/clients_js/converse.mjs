// `@aws-sdk/client-bedrock-runtime`: Converse and ConverseStream. By itself it speaks HTTP/2.

import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";

import { CITY, TEXT, run, task, thrown } from "./cases.mjs";

const open = (token) =>
  new BedrockRuntimeClient({
    endpoint: task.url,
    region: "eu-central-1",
    token: { token },
    authSchemePreference: ["httpBearerAuth"],
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(),
  });
const client = open(task.key);
const stranger = open("sk-nobody");
const user = (...content) => [{ role: "user", content }];
const toolSpec = { name: "get_weather", description: "The weather", inputSchema: { json: CITY } };
const toolConfig = { tools: [{ toolSpec }] };

const answered = ({ output, stopReason, usage, metrics }) => ({
  text: output.message.content.map(({ text }) => text ?? "").join(""),
  finish: stopReason,
  usage: [usage.inputTokens, usage.outputTokens],
  timed: metrics.latencyMs >= 0,
});

const plain = (body) => client.send(new ConverseCommand(body));

// The message of a stream, as an answer; a stream that fails throws.
const streamed = async (body, heard = () => {}) => {
  const { stream } = await client.send(new ConverseStreamCommand(body));
  const blocks = [];
  const inputs = [];
  let answer = {};
  for await (const event of stream) {
    const [kind] = Object.keys(event);
    const { contentBlockIndex: at, start, delta, ...rest } = event[kind];
    if (start) blocks[at] = structuredClone(start);
    if (delta?.text) {
      blocks[at] = { text: (blocks[at]?.text ?? "") + delta.text };
      heard(delta.text);
    }
    if (delta?.toolUse) inputs[at] = (inputs[at] ?? "") + delta.toolUse.input;
    if (kind === "contentBlockStop" && blocks[at]?.toolUse) {
      blocks[at].toolUse.input = JSON.parse(inputs[at] || "{}");
    }
    answer = { ...answer, ...rest };
  }
  return { ...answer, output: { message: { role: "assistant", content: blocks } } };
};

const twoPhases = async (modelId, ask) => {
  const asked = user({ text: TEXT.tools });
  const first = await ask({ modelId, messages: asked, toolConfig });
  const { message } = first.output;
  const calls = message.content.filter(({ toolUse }) => toolUse).map(({ toolUse }) => toolUse);
  const results = calls.map(({ toolUseId }) => ({
    toolResult: { toolUseId, content: [{ text: `rain ${toolUseId}` }] },
  }));
  const messages = [...asked, message, ...user(...results)];
  return {
    ...answered(first),
    calls: calls.map(({ name, input }) => ({ name, given: input })),
    ids: calls.map(({ toolUseId }) => toolUseId),
    then: answered(await ask({ modelId, messages, toolConfig })),
  };
};

const refused = (modelId, text, by = client) =>
  thrown(() => by.send(new ConverseCommand({ modelId, messages: user({ text }) })));

await run({
  plain: async ({ talk }) =>
    answered(await plain({ modelId: talk, messages: user({ text: TEXT.plain }) })),
  stream: async ({ talk }) =>
    answered(await streamed({ modelId: talk, messages: user({ text: TEXT.plain }) })),
  image: async ({ talk }) => {
    const source = { bytes: Buffer.from(task.picture, "base64") };
    const content = [{ text: TEXT.plain }, { image: { format: "png", source } }];
    return answered(await plain({ modelId: talk, messages: user(...content) }));
  },
  tools: ({ talk }) => twoPhases(talk, plain),
  tools_stream: ({ talk }) => twoPhases(talk, streamed),
  wrong_key: ({ talk }) => refused(talk, "x", stranger),
  wrong_model: () => refused("no-such", "x"),
  refused: ({ talk }) => refused(talk, TEXT.refused),
  throttled: ({ throttle }) => refused(throttle, TEXT.throttled),
  broken: async ({ broken }) => {
    let text = "";
    const messages = user({ text: TEXT.broken });
    const threw = await thrown(() =>
      streamed({ modelId: broken, messages }, (piece) => (text += piece)),
    );
    return { ...threw, text };
  },
});
