"""Claude as a cloud serves it (Bedrock, Vertex AI): what their codecs share.

The model and whether to stream are in the path. The body is Claude's own, with a version of the
cloud's.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

from dialects.anthropic.codec import MessagesCodec
from dialects.anthropic.request.read import ChatFacts, edit
from dialects.chat.chat import ChatRequest, Encoded, Flag, JsonObject, Upstream, Url
from dialects.chat.client_names import client_name
from dialects.chat.turns import urls
from dialects.json.body import Quirks, read_body

BETA_HEADER: Final = "anthropic-beta"
# A cloud takes the service tier in its own header, not in Claude's member.
_TIER: Final = "service_tier"


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return the URLs of all pictures and documents, because a cloud fetches none for Claude."""
    return urls(request, lambda part: isinstance(part.source, Url))


def fit_body(encoded: Encoded, request: ChatRequest, form: Mapping[str, bytes | None]) -> Encoded:
    """Set the members of `form` in an encoded body; None removes a member. The service tier is
    dropped."""
    body = read_body(encoded.body)
    dropped = [client_name(request, _TIER)] if _TIER in body.members else []
    fitted = body.splice({**form, _TIER: None})
    return replace(encoded, body=fitted, dropped=(*encoded.dropped, *dropped))


def betas(headers: Mapping[str, str]) -> list[str]:
    """Return the betas that a client names."""
    listed = (beta.strip() for beta in headers.get(BETA_HEADER, "").split(","))
    return [beta for beta in listed if beta]


class HostedMessagesCodec(MessagesCodec):
    """Messages in a cloud. `form` has the members to set in the body, None for a member to
    remove."""

    form: ClassVar[Mapping[str, bytes | None]]
    urls_to_fetch = staticmethod(urls_to_fetch)

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return True

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        quirks = super().quirks_for(facts, upstream, thoughts)
        edits, dropped = {**quirks.edits, **self.form}, quirks.dropped
        if _TIER in facts.body.members:
            edits[_TIER] = None
            dropped = (*dropped, _TIER)
        return quirks._replace(edits=edits, dropped=dropped)

    def edit(
        self,
        facts: ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        # The name in the body is removed, so it need not be the upstream's.
        return edit(facts, facts.model, output_cap=output_cap, quirks=quirks)
