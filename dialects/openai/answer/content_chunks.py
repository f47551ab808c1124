"""The content of an answer as a list of chunks, which Mistral's models write while they reason.

    {"type": "thinking", "thinking": [{"type": "text", "text": "…"}]}    reasoning
    {"type": "text", "text": "…"}                                        text

Other chunks, such as references, have no text. (Mistral's client for Python 2.5.1, 2026-06.)
"""

from typing import Any

from dialects.json.raw_json import as_text, dicts


def read_chunks(content: Any) -> tuple[str, str] | None:
    """Return the reasoning and the text of a list of chunks; None for anything else."""
    chunks = dicts(content)
    thoughts = [chunk["thinking"] for chunk in chunks if isinstance(chunk.get("thinking"), list)]
    if not thoughts and not any(isinstance(chunk.get("text"), str) for chunk in chunks):
        return None
    return "".join(_join(dicts(thought)) for thought in thoughts), _join(chunks)


def _join(parts: list[dict[str, Any]]) -> str:
    return "".join(as_text(part.get("text")) for part in parts)
