"""Answers that must be JSON: shown as one code block, which is formatted once it is complete."""

import json
import re
from collections.abc import Mapping
from typing import Any

from content.prompts.settings import Settings
from playground.panel.json_text import InvalidJson, parse_json
from playground.rendering.block_splitter import BlockEvent, Closed, Grown, Opened

_TICKS = re.compile(r"`+")


def is_structured(stored: Mapping[str, Any] | None) -> bool:
    """Return whether the settings of a turn, in their stored form, ask for JSON."""
    settings = Settings.from_stored(stored or {})
    if settings.raw is None:
        return settings.schema is not None
    form = settings.raw.get("response_format")
    return isinstance(form, dict) and form.get("type") in ("json_object", "json_schema")


class JsonSplitter:
    """Treats the whole text as one code block, with the events of `BlockSplitter`."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, text: str) -> list[BlockEvent]:
        """Add the next piece of the text."""
        events: list[BlockEvent] = [] if self._text or not text else [Opened(0, "code", "json")]
        self._text += text
        return [*events, Grown(0, text)] if text else []

    def end(self) -> list[BlockEvent]:
        """End the text."""
        return [Closed(0, _fence_json(format_json(self._text)))] if self._text else []


def format_json(text: str) -> str:
    """Return JSON with one member per line; other text unchanged."""
    try:
        return json.dumps(parse_json(text), indent=2, ensure_ascii=False)
    except InvalidJson:
        return text


def _fence_json(text: str) -> str:
    longest = max(map(len, _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{text}\n{fence}"
