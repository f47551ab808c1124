// What both clients have in common: the task on standard input, and the facts on standard output.
//
// The task says where the hub is, a key, and for each upstream dialect the names of three models
// (one to talk to, one to be throttled by, one to break off). Nothing is judged here: every case
// gives what the client saw, or what it threw, and pytest compares.

import { readFileSync } from "node:fs";

import { OAuth2Client } from "google-auth-library";

export const task = JSON.parse(readFileSync(0, "utf8"));
export const TEXT = task.texts;
export const CITY = { type: "object", properties: { city: { type: "string" } } };

// What signs in to Google's clouds with this access token.
export const googles = (access_token) => {
  const client = new OAuth2Client();
  client.setCredentials({ access_token });
  return client;
};

// What a client throws, by the class that its users would catch.
export const thrown = async (work) => {
  try {
    await work();
  } catch (error) {
    const { message, headers, $metadata } = error;
    const status = error.status ?? $metadata?.httpStatusCode ?? null;
    const id = error.requestID ?? $metadata?.requestId ?? headers?.get("x-request-id") ?? null;
    return { kind: error.constructor.name, status, message, code: error.code ?? null, id };
  }
  return { kind: null };
};

// Runs every case against every upstream, all upstreams at once and one case after the other.
export const run = async (cases) => {
  const found = {};
  const walk = async ([upstream, models]) => {
    found[upstream] = {};
    for (const [name, ask] of Object.entries(cases)) {
      try {
        found[upstream][name] = await ask(models);
      } catch (error) {
        found[upstream][name] = { crashed: error.stack };
      }
    }
  };
  await Promise.all(Object.entries(task.models).map(walk));
  process.stdout.write(JSON.stringify(found));
};
