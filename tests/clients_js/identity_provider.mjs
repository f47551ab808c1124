// An identity provider that others wrote (oidc-provider, certified for OpenID Connect), set up by
// lines of JSON on its input. It prints its port, then one line after each line that it has read.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

// What the provider says of itself goes elsewhere than the answers.
console.log = console.info = console.warn = console.error;
const print = (line) => process.stdout.write(`${line}\n`);
const now = Date.now;
let ahead_ms = 0;
Date.now = () => now() + ahead_ms;
const people = new Map();
let handle = (_request, response) => response.writeHead(503).end();

const server = createServer((request, response) => handle(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

function configure({ client_id, client_secret, redirect_uris }) {
  const provider = new Provider(issuer, {
    clients: [{ client_id, client_secret, redirect_uris }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    cookies: { keys: ["of tests"] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...people.get(id) }),
    }),
  });
  return provider.callback();
}

print(server.address().port);
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.client) handle = configure(message.client);
  if (message.person) people.set(message.person.id, message.person.claims);
  if (message.ahead_s !== undefined) ahead_ms = message.ahead_s * 1000;
  print("done");
}
process.exit();
