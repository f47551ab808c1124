// `openai`: images, speech, transcripts and translations.

import OpenAI, { toFile } from "openai";

import { run, task, thrown } from "./cases.mjs";

const client = new OpenAI({ baseURL: `${task.url}/v1`, apiKey: task.key, maxRetries: 0 });
const picture = () => toFile(Buffer.from(task.picture, "base64"), "boat.png");
const sound = () => toFile(Buffer.from(task.sound, "base64"), "speech.wav");
const size = (text) => Buffer.from(text, "base64").length;

const events = async (stream) => {
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  return kinds;
};

await run({
  generate: async ({ images: model }) => {
    const { data, usage } = await client.images.generate({ model, prompt: "a boat", n: 2 });
    return { sizes: data.map((item) => size(item.b64_json)), tokens: usage.output_tokens };
  },
  generate_stream: async ({ images: model }) =>
    events(await client.images.generate({ model, prompt: "a boat", stream: true, partial_images: 1 })),
  edit: async ({ images: model }) => {
    const { data } = await client.images.edit({ model, prompt: "paint", image: await picture() });
    return size(data[0].b64_json);
  },
  vary: async ({ images: model }) => {
    const { data } = await client.images.createVariation({ model, image: await picture() });
    return size(data[0].b64_json);
  },
  speech: async ({ speech: model }) => {
    const answer = await client.audio.speech.create({ model, voice: "alloy", input: "hello" });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { type: answer.headers.get("content-type"), start: bytes.subarray(0, 2).toString("hex") };
  },
  transcribe: async ({ heard: model }) =>
    (await client.audio.transcriptions.create({ model, file: await sound() })).text,
  transcribe_text: async ({ heard: model }) =>
    client.audio.transcriptions.create({ model, file: await sound(), response_format: "text" }),
  transcribe_stream: async ({ heard: model }) =>
    events(await client.audio.transcriptions.create({ model, file: await sound(), stream: true })),
  translate: async ({ heard: model }) =>
    (await client.audio.translations.create({ model, file: await sound() })).text,
  refused: async ({ images: model, heard }) => ({
    image: await thrown(() => client.images.generate({ model, prompt: "#fault=F6:400" })),
    sound: await thrown(async () =>
      client.audio.transcriptions.create({ model: heard, file: await picture() }),
    ),
  }),
});
