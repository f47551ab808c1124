// `openai`: realtime connections, in both of its forms; its base URL must be of TLS.

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { OpenAIRealtimeWS as OpenAIRealtimeBeta } from "openai/beta/realtime/ws";

import { run, task } from "./cases.mjs";

const client = new OpenAI({ baseURL: `${task.url}/v1`, apiKey: task.key, maxRetries: 0 });

const talk = (session, text) =>
  new Promise((resolve, reject) => {
    const kinds = [];
    let said = "";
    session.socket.on("open", () => {
      session.send({ type: "session.update", session: { type: "realtime" } });
      session.send({
        type: "conversation.item.create",
        item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
      });
      session.send({ type: "response.create" });
    });
    session.on("event", (event) => kinds.push(event.type));
    session.on("response.output_text.delta", (event) => (said += event.delta));
    session.on("response.done", (event) => {
      session.close();
      resolve({ kinds: [...new Set(kinds)], said, usage: event.response.usage.output_tokens });
    });
    session.on("error", reject);
  });

await run({
  session: ({ realtime: model }) => talk(new OpenAIRealtimeWS({ model }, client), "hello #tokens=4"),
  beta: ({ realtime: model }) => talk(new OpenAIRealtimeBeta({ model }, client), "hello #tokens=2"),
  error: async ({ realtime: model }) => {
    const session = new OpenAIRealtimeWS({ model }, client);
    return new Promise((resolve) => {
      session.socket.on("open", () => session.send({ type: "bogus.event", event_id: "c_4" }));
      session.on("error", (error) => {
        session.close();
        resolve(error.error);
      });
    });
  },
});
