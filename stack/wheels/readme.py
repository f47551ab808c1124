"""Hatchling's metadata hook: the README as an index of packages shows it, where its relative links
would lead nowhere.
"""

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_README: Final = Path(__file__).resolve().parents[2] / "README.md"
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")
_CLONED: Final = "<address of this repository>"


class Hook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        source = metadata.get("urls", {}).get("Source", "")
        text = absolute_readme(_README.read_text(encoding="utf-8"), source)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute_readme(text: str, source: str) -> str:
    """Return the README with relative links made absolute. `source` is the address of the
    repository; while it is "", links become their text, and pictures are left out."""

    def absolute(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        if not source:
            return "" if picture else words
        kind = "raw" if picture else "blob"
        return f"{picture}[{words}]({source}/{kind}/HEAD/{path})"

    text = _LINK.sub(absolute, text)
    return text.replace(_CLONED, source) if source else text
