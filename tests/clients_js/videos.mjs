// `openai`: videos. Ordered first; with the id of a finished one, what can be done with it.

import OpenAI, { toFile } from "openai";

import { run, task, thrown } from "./cases.mjs";

const client = new OpenAI({ baseURL: `${task.url}/v1`, apiKey: task.key, maxRetries: 0 });
const shown = ({ id, status, progress, seconds, size }) => ({ id, status, progress, seconds, size });

const order = {
  create: async ({ model }) => {
    const input_reference = await toFile(Buffer.from(task.picture, "base64"), "boat.png");
    const body = { model, prompt: "from node", seconds: "4", size: "1280x720", input_reference };
    return shown(await client.videos.create(body));
  },
  early: async ({ model }) => {
    const { id } = await client.videos.create({ model, prompt: "too early" });
    return thrown(() => client.videos.downloadContent(id));
  },
  refused: async ({ model }) =>
    thrown(() => client.videos.create({ model, prompt: "x #refuse=400" })),
};

const finished = {
  retrieve: async ({ id }) => shown(await client.videos.retrieve(id)),
  content: async ({ id }) => {
    const answer = await client.videos.downloadContent(id);
    const { byteLength } = await answer.arrayBuffer();
    return { type: answer.headers.get("content-type"), byteLength };
  },
  thumbnail: async ({ id }) =>
    (await client.videos.downloadContent(id, { variant: "thumbnail" })).text(),
  events: async ({ id }) => {
    const url = `${task.url}/v1/videos/${id}/events`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${task.key}` } });
    return (await answer.text()).split("\n")[0];
  },
  remix: async ({ id }) => {
    const video = await client.videos.remix(id, { prompt: "from node, by night" });
    return { of: video.remixed_from_video_id === id, status: video.status };
  },
  list: async () => {
    const ids = [];
    for await (const video of client.videos.list({ limit: 1 })) ids.push(video.id);
    return new Set(ids).size;
  },
  remove: async ({ id }) => (await client.videos.delete(id)).deleted,
  gone: async ({ id }) => thrown(() => client.videos.retrieve(id)),
};

await run(task.models.videos.id === undefined ? order : finished);
