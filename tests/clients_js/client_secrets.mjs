// `openai`: a client secret is created with the key, and a session opened with the secret alone.

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

import { run, task, thrown } from "./cases.mjs";

const base = { baseURL: `${task.url}/v1`, maxRetries: 0 };
const server = new OpenAI({ ...base, apiKey: task.key });

const secretFor = async (model) => {
  const session = { type: "realtime", model, output_modalities: ["text"] };
  return (await server.realtime.clientSecrets.create({ session })).value;
};

await run({
  session: async ({ realtime: model }) => {
    const client = new OpenAI({ ...base, apiKey: await secretFor(model) });
    const session = new OpenAIRealtimeWS({ model }, client);
    return await new Promise((resolve, reject) => {
      let said = "";
      session.socket.on("open", () => {
        const content = [{ type: "input_text", text: "hello #tokens=3" }];
        session.send({
          type: "conversation.item.create",
          item: { type: "message", role: "user", content },
        });
        session.send({ type: "response.create" });
      });
      session.on("response.output_text.delta", (event) => (said += event.delta));
      session.on("response.done", () => {
        session.close();
        resolve({ said });
      });
      session.on("error", reject);
    });
  },
  elsewhere: async ({ realtime: model }) => {
    const client = new OpenAI({ ...base, apiKey: await secretFor(model) });
    return thrown(() => client.models.list());
  },
});
