"""A Gemini Live session as code: it sends a text and prints what the model says, as its transcript.

curl opens a session and prints the answer to the upgrade. The Python code uses Google's own client,
which always uses TLS, the JavaScript code the package ws.
"""

from typing import Final, Literal

from gateway.code_examples.literals import text_literal

Language = Literal["curl", "python", "javascript"]

_CURL: Final = """\
curl -i -N --http1.1 --max-time 5 {url} \\
  -H "x-goog-api-key: $WEIR_API_KEY" \\
  -H "Connection: Upgrade" \\
  -H "Upgrade: websocket" \\
  -H "Sec-WebSocket-Version: 13" \\
  -H "Sec-WebSocket-Key: $(openssl rand -base64 16)\""""
_PYTHON: Final = """\
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
_JAVASCRIPT: Final = """\
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
        return _CURL.format(url=f'"{base_url}{path}"')
    name = text_literal(model, language)
    if language == "python":
        return _PYTHON.format(base_url=text_literal(base_url, language), model=name)
    url = text_literal(base_url.replace("http", "ws", 1) + path, language)
    return _JAVASCRIPT.format(url=url, model=name)
