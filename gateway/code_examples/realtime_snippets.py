"""A realtime session as code: it sends a text and prints the answer as it arrives.

curl opens a session and prints its first event. The Python and JavaScript code uses OpenAI's own
clients; the JavaScript client always uses TLS.
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
