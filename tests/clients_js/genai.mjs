// `@google/genai`: Gemini of Vertex AI, by an access token and by an API key.

import { GoogleGenAI, Type } from "@google/genai";

import { TEXT, googles, run, task, thrown } from "./cases.mjs";

const httpOptions = { baseUrl: task.url };
const place = { project: "any", location: "europe-west1" };
const open = {
  token: (key) => ({ ...place, googleAuthOptions: { authClient: googles(key) } }),
  key: (apiKey) => ({ apiKey }),
}[task.client];
const client = new GoogleGenAI({ vertexai: true, httpOptions, ...open(task.key) });
const stranger = new GoogleGenAI({ vertexai: true, httpOptions, ...open("sk-nobody") });
const { models } = client;
const parameters = { type: Type.OBJECT, properties: { city: { type: Type.STRING } } };
const functionDeclarations = [{ name: "get_weather", description: "The weather", parameters }];
const config = { tools: [{ functionDeclarations }] };

const answered = ({ text, candidates, usageMetadata: usage }) => ({
  text,
  finish: candidates[0].finishReason,
  usage: [usage.promptTokenCount, usage.candidatesTokenCount],
});

const asked = (model, contents, by = models) =>
  thrown(() => by.generateContent({ model, contents }));

await run({
  plain: async ({ talk }) =>
    answered(await models.generateContent({ model: talk, contents: TEXT.plain })),
  stream: async ({ talk }) => {
    let text = "";
    let last;
    for await (last of await models.generateContentStream({ model: talk, contents: TEXT.plain })) {
      text += last.text ?? "";
    }
    return { ...answered(last), text };
  },
  tools: async ({ talk }) => {
    const turns = [{ role: "user", parts: [{ text: TEXT.tools }] }];
    const first = await models.generateContent({ model: talk, contents: turns, config });
    const calls = first.functionCalls;
    const results = calls.map(({ id, name }, n) => ({
      functionResponse: { id, name, response: { result: `rain ${n}` } },
    }));
    turns.push(first.candidates[0].content, { role: "user", parts: results });
    const then = await models.generateContent({ model: talk, contents: turns, config });
    return {
      calls: calls.map(({ name, args }) => ({ name, given: args })),
      then: answered(then),
    };
  },
  count: async ({ talk }) => models.countTokens({ model: talk, contents: "a b c" }),
  wrong_key: ({ talk }) => asked(talk, "x", stranger.models),
  wrong_model: () => asked("no-such", "x"),
  refused: ({ talk }) => asked(talk, TEXT.refused),
  throttled: ({ throttle }) => asked(throttle, TEXT.throttled),
  broken: async ({ broken }) => {
    let text = "";
    const threw = await thrown(async () => {
      const stream = await models.generateContentStream({ model: broken, contents: TEXT.broken });
      for await (const piece of stream) text += piece.text ?? "";
    });
    return { ...threw, text };
  },
});
