"""Builds the requests that summarise turns that no longer fit into a model's context, one portion
at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.providers.capabilities import Capabilities
from playground.side_requests.side_request_rules import aside_request
from playground.turns.context_window import PathMessage, text_tokens

SUMMARY_TOKENS_MAX: Final = 800
_CHARACTERS_PER_TOKEN: Final = 3
_ASKED: Final = (
    "Summarise the conversation below for whoever goes on with it: what was asked, answered, "
    "decided and left open, with the names, numbers and code that matter. Write in its own "
    "language, in at most 400 words. Answer with the summary alone."
)


def portions(messages: Sequence[PathMessage], context_max: int) -> Iterator[str]:
    """Yield the messages as texts, each of which fits into half of a context. A message that is too
    long is cut."""
    most = context_max // 2
    texts: list[str] = []
    size = 0
    for message in messages:
        tokens = min(text_tokens(message), most)
        if texts and size + tokens > most:
            yield "\n\n".join(texts)
            texts, size = [], 0
        texts.append(
            f"{message.role.capitalize()}: {_message_text(message)[: most * _CHARACTERS_PER_TOKEN]}"
        )
        size += tokens
    if texts:
        yield "\n\n".join(texts)


def _message_text(message: PathMessage) -> str:
    names = [f"[{file['name']}]" for file in message.parts.get("files", ())]
    calls = [f"{call['name']}({call['arguments']})" for call in message.parts.get("calls", ())]
    results = [result["content"] for result in message.parts.get("results", ())]
    return "\n".join([*names, *filter(None, [message.content]), *calls, *results])


def summary_request(
    model: str, before: str, portion: str, capabilities: Capabilities
) -> dict[str, Any]:
    """Build the body from a portion and `before`, the summary of everything before it."""
    text = f"Summary of what was said before: {before}\n\n{portion}" if before else portion
    return aside_request(model, _ASKED, text, capabilities, output_max=SUMMARY_TOKENS_MAX)
