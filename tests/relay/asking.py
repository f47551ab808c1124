"""Chat requests as the tests send them, and what is read from their answers."""

import json
from typing import Any

from tests.support.hub import Answer


def ask(model: str, text: str = "hello", **over: Any) -> dict[str, Any]:
    """The body of a chat request with one user message; directives of the fake stand in it."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **over}


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    """The data of every frame of a stream but `[DONE]`."""
    frames = [frame for frame in answer.body.split(b"\n\n") if frame.startswith(b"data: ")]
    return [json.loads(frame[6:]) for frame in frames if frame != b"data: [DONE]"]


def text_of(answer: Answer) -> str:
    """The text of the first choice, streamed or whole."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        choices = [choice for chunk in chunks_of(answer) for choice in chunk.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    content: str = answer.json()["choices"][0]["message"]["content"]
    return content
