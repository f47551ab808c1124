// `@google/genai`: a server creates an ephemeral token; a page's live session has no other key.

import { GoogleGenAI, Modality } from "@google/genai";

import { run, task } from "./cases.mjs";

// It says with each token that they are experimental.
console.warn = () => {};

const httpOptions = { baseUrl: task.url, apiVersion: "v1alpha" };
const server = new GoogleGenAI({ apiKey: task.key, httpOptions });

const tokenFor = async (model) => {
  const liveConnectConstraints = { model, config: { responseModalities: [Modality.TEXT] } };
  return (await server.authTokens.create({ config: { uses: 1, liveConnectConstraints } })).name;
};

// What a session says to a text, or the code and reason with which it is refused.
const talk = (apiKey, model) =>
  new Promise((resolve, reject) => {
    const page = new GoogleGenAI({ apiKey, httpOptions });
    let said = "";
    let session;
    const onmessage = ({ serverContent }) => {
      const parts = serverContent?.modelTurn?.parts ?? [];
      said += parts.map(({ text }) => text ?? "").join("");
      if (!serverContent?.turnComplete) return;
      session.close();
      resolve({ said });
    };
    const onclose = ({ code, reason }) => resolve({ said, code, reason });
    const config = { responseModalities: [Modality.TEXT] };
    const callbacks = { onmessage, onclose, onerror: ({ error }) => reject(error) };
    page.live.connect({ model, config, callbacks }).then((opened) => {
      session = opened;
      session.sendClientContent({ turns: "hello #tokens=3", turnComplete: true });
    }, reject);
  });

await run({
  session: async ({ live }) => {
    const token = await tokenFor(live);
    const begins = token.split("/")[0];
    return { begins, ...(await talk(token, live)), again: await talk(token, live) };
  },
});
