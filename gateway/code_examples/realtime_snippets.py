"""Sessions over a WebSocket as code: a Realtime connection sends a text and prints the answer as it
arrives, a Live session sends a recording and prints what is said on both sides, and a Gemini Live
session sends a text and prints what the model says, as its transcript.

curl opens a session and prints its first event, or the answer to the upgrade. The Python code uses
OpenAI's or Google's own clients, the JavaScript code OpenAI's client or the package ws. OpenAI's
JavaScript client and Google's client always use TLS.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from gateway.code_examples.literals import literal, text_literal

Language = Literal["curl", "python", "javascript"]

TEXT_SESSION: Final[Mapping[str, Any]] = {"type": "realtime", "output_modalities": ["text"]}
"""A session that answers in text."""

_CURL: Final = """\
curl -N --http1.1 --max-time 5 {url} \\
  -H "Authorization: Bearer $WEIR_API_KEY" \\
  -H "Connection: Upgrade" \\
  -H "Upgrade: websocket" \\
  -H "Sec-WebSocket-Version: 13" \\
  -H "Sec-WebSocket-Key: $(openssl rand -base64 16)\""""
_PYTHON: Final = """\
import os

from openai import OpenAI

client = OpenAI(
    base_url={base_url},
    api_key=os.environ["WEIR_API_KEY"],
)
with client.realtime.connect(model={model}) as connection:
    connection.session.update(session={session})
    connection.conversation.item.create(
        item={{
            "type": "message",
            "role": "user",
            "content": [{{"type": "input_text", "text": "Tell me about rivers."}}],
        }}
    )
    connection.response.create()
    for event in connection:
        if event.type == "response.{delta}.delta":
            print(event.delta, end="", flush=True)
        elif event.type in ("response.done", "error"):
            break"""
_JAVASCRIPT: Final = """\
import OpenAI from "openai";
import {{ OpenAIRealtimeWS }} from "openai/realtime/ws";

const client = new OpenAI({{
  baseURL: {base_url},
  apiKey: process.env.WEIR_API_KEY,
}});
const session = new OpenAIRealtimeWS({{ model: {model} }}, client);
session.socket.on("open", () => {{
  session.send({{
    type: "session.update",
    session: {session},
  }});
  session.send({{
    type: "conversation.item.create",
    item: {{
      type: "message",
      role: "user",
      content: [{{ type: "input_text", text: "Tell me about rivers." }}],
    }},
  }});
  session.send({{ type: "response.create" }});
}});
session.on("response.{delta}.delta", (event) => process.stdout.write(event.delta));
session.on("response.done", () => session.close());
session.on("error", (error) => console.error(error.message));"""


def realtime_snippet(
    language: Language, base_url: str, path: str, model: str, session: Mapping[str, Any]
) -> str:
    """Return the code. `base_url` excludes the API's path; `session` is the initial session
    update."""
    if language == "curl":
        return _CURL.format(url=f'"{base_url}{path}"')
    form = _PYTHON if language == "python" else _JAVASCRIPT
    depth, used = (1, 30) if language == "python" else (2, 14)
    return form.format(
        base_url=text_literal(f"{base_url}/v1", language),
        model=text_literal(model, language),
        session=literal(session, language, depth=depth, used=used),
        # Speech output includes its transcript.
        delta="output_text"
        if "text" in session["output_modalities"]
        else "output_audio_transcript",
    )


_LIVE_CURL: Final = """\
curl -i -N --http1.1 --max-time 5 {url} \\
  -H "Authorization: Bearer $WEIR_API_KEY" \\
  -H "Connection: Upgrade" \\
  -H "Upgrade: websocket" \\
  -H "Sec-WebSocket-Version: 13" \\
  -H "Sec-WebSocket-Key: $(openssl rand -base64 16)\""""
_LIVE_PYTHON: Final = """\
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
_LIVE_JAVASCRIPT: Final = """\
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
        return _LIVE_CURL.format(url=f'"{base_url}{path}"')
    if language == "python":
        base, name = text_literal(f"{base_url}/v1", language), text_literal(model, language)
        return _LIVE_PYTHON.format(base_url=base, model=name)
    url = text_literal(base_url.replace("http", "ws", 1) + path, language)
    return _LIVE_JAVASCRIPT.format(url=url, model=text_literal(model, language))


_GEMINI_LIVE_CURL: Final = """\
curl -i -N --http1.1 --max-time 5 {url} \\
  -H "x-goog-api-key: $WEIR_API_KEY" \\
  -H "Connection: Upgrade" \\
  -H "Upgrade: websocket" \\
  -H "Sec-WebSocket-Version: 13" \\
  -H "Sec-WebSocket-Key: $(openssl rand -base64 16)\""""
_GEMINI_LIVE_PYTHON: Final = """\
import asyncio
import os

from google import genai

client = genai.Client(
    api_key=os.environ["WEIR_API_KEY"],
    http_options={{"base_url": {base_url}}},
)


async def main():
    config = {{"response_modalities": ["AUDIO"], "output_audio_transcription": {{}}}}
    async with client.aio.live.connect(model={model}, config=config) as session:
        await session.send_client_content(
            turns={{"role": "user", "parts": [{{"text": "Tell me about rivers."}}]}}
        )
        async for message in session.receive():
            content = message.server_content
            if content and content.output_transcription:
                print(content.output_transcription.text, end="", flush=True)


asyncio.run(main())"""
_GEMINI_LIVE_JAVASCRIPT: Final = """\
import WebSocket from "ws";

const socket = new WebSocket({url}, {{
  headers: {{ "x-goog-api-key": process.env.WEIR_API_KEY }},
}});
const send = (message) => socket.send(JSON.stringify(message));
socket.on("open", () => {{
  send({{
    setup: {{
      model: {model},
      generationConfig: {{ responseModalities: ["AUDIO"] }},
      outputAudioTranscription: {{}},
    }},
  }});
}});
socket.on("message", (data) => {{
  const message = JSON.parse(data);
  const content = message.serverContent;
  if (message.setupComplete) {{
    const parts = [{{ text: "Tell me about rivers." }}];
    send({{ clientContent: {{ turns: [{{ role: "user", parts }}], turnComplete: true }} }});
  }}
  process.stdout.write(content?.outputTranscription?.text ?? "");
  if (content?.turnComplete) socket.close();
}});
socket.on("close", (code, reason) => console.error(code, reason.toString()));"""


def gemini_live_snippet(language: Language, base_url: str, path: str, model: str) -> str:
    """Return the code. `base_url` excludes the API's path."""
    if language == "curl":
        return _GEMINI_LIVE_CURL.format(url=f'"{base_url}{path}"')
    name = text_literal(model, language)
    if language == "python":
        return _GEMINI_LIVE_PYTHON.format(base_url=text_literal(base_url, language), model=name)
    url = text_literal(base_url.replace("http", "ws", 1) + path, language)
    return _GEMINI_LIVE_JAVASCRIPT.format(url=url, model=name)
