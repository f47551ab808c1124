"""The manual's list for language models, as https://llmstxt.org describes it."""

import re
from collections.abc import Callable
from typing import Final

from reference.manual.pages import Manual, ManualPage

_SENTENCE_END: Final = re.compile(r"(?<=[.!?:]) (?=[^a-z])")


def llms_txt(known: Manual, address: Callable[[ManualPage], str]) -> str:
    """Return the list. `address` gives the address of a page's Markdown form."""
    lines = ["# Weir", "", f"> {_summary(known.first)}"]
    for group in known.groups:
        lines += ["", f"## {group.title}", ""]
        lines += [f"- [{title}]({address(page)}): {_summary(page)}" for title, page in group.pages]
    others = known.in_order[len(known.listed) :]
    if others:
        lines += ["", "## Optional", ""]
        lines += [f"- [{page.title}]({address(page)})" for page in others]
    return "\n".join([*lines, ""])


def _summary(page: ManualPage) -> str:
    """Return the first sentence of a page."""
    text = next((section.text for section in page.sections if section.text), "")
    return _SENTENCE_END.split(" ".join(text.split("\n\n")[0].split()))[0]
