"""A Live session as code: it sends a recording and prints what is said on both sides.

curl opens a session and prints the answer to the upgrade. The Python code uses OpenAI's own client,
the JavaScript code the package ws.
"""

from typing import Final, Literal

from gateway.code_examples.literals import text_literal

Language = Literal["curl", "python", "javascript"]

_CURL: Final = """\
curl -i -N --http1.1 --max-time 5 {url} \\
  -H "Authorization: Bearer $WEIR_API_KEY" \\
  -H "Connection: Upgrade" \\
  -H "Upgrade: websocket" \\
  -H "Sec-WebSocket-Version: 13" \\
  -H "Sec-WebSocket-Key: $(openssl rand -base64 16)\""""
_PYTHON: Final = """\
import base64
import os
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url={base_url},
    api_key=os.environ["WEIR_API_KEY"],
)
# Raw PCM of 16 bits, mono, 24 kHz.
sound = base64.b64encode(Path("speech.pcm").read_bytes()).decode()
with client.live.connect() as connection:
    connection.session.start(session={{"model": {model}}})
    for event in connection:
        if event.type == "session.started":
            connection.session.input_audio.append(audio=sound)
        elif event.type.endswith("_transcript.delta"):
            print(event.delta, end="", flush=True)
        elif event.type == "session.usage.updated":
            connection.session.close()
        elif event.type in ("session.closed", "error"):
            break"""
_JAVASCRIPT: Final = """\
import {{ readFile }} from "node:fs/promises";
import WebSocket from "ws";

// Raw PCM of 16 bits, mono, 24 kHz.
const sound = (await readFile("speech.pcm")).toString("base64");
const socket = new WebSocket({url}, {{
  headers: {{ Authorization: `Bearer ${{process.env.WEIR_API_KEY}}` }},
}});
const send = (event) => socket.send(JSON.stringify(event));
socket.on("open", () => send({{ type: "session.start", session: {{ model: {model} }} }}));
socket.on("message", (data) => {{
  const event = JSON.parse(data);
  if (event.type === "session.started") {{
    send({{ type: "session.input_audio.append", audio: sound }});
  }} else if (event.type.endsWith("_transcript.delta")) {{
    process.stdout.write(event.delta);
  }} else if (event.type === "session.usage.updated") {{
    send({{ type: "session.close" }});
  }} else if (event.type === "error") {{
    console.error(event.error.message);
  }}
}});"""


def live_snippet(language: Language, base_url: str, path: str, model: str) -> str:
    """Return the code. `base_url` excludes the API's path."""
    if language == "curl":
        return _CURL.format(url=f'"{base_url}{path}"')
    if language == "python":
        base, name = text_literal(f"{base_url}/v1", language), text_literal(model, language)
        return _PYTHON.format(base_url=base, model=name)
    url = text_literal(base_url.replace("http", "ws", 1) + path, language)
    return _JAVASCRIPT.format(url=url, model=text_literal(model, language))
