"""Gemini on Google's Vertex AI: the same bodies and answers, with a few differences.

Every content names its role, a request for a count has no request inside, and answers are never
stored. Source: the official client `google-genai` 3.3 (2026-11).
"""

from collections.abc import Mapping

import msgspec

from dialects.chat.chat import Flag, Upstream
from dialects.codec import HeaderLines, Target
from dialects.errors.errors import RequestFault
from dialects.gemini.codec import GenerateContentCodec
from dialects.gemini.count_tokens import INNER
from dialects.gemini.names import spelling
from dialects.gemini.request.read import ChatFacts
from dialects.json.body import Quirks, read_body
from dialects.json.not_json import NOT_JSON

_STORE = "store"


class VertexGenerateContentCodec(GenerateContentCodec):
    """generateContent and streamGenerateContent of publisher models."""

    def needs_fit(self, facts: ChatFacts, flags: frozenset[Flag]) -> bool:
        return True

    def quirks_for(
        self, facts: ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        quirks = super().quirks_for(facts, upstream, thoughts)
        edits, dropped = dict(quirks.edits), quirks.dropped
        contents = edits.get("contents") or facts.body.value("contents")
        named = None if contents is None else name_roles(contents)
        if named is not None:
            edits["contents"] = named
        if _STORE in facts.body.members:
            edits[_STORE] = None
            dropped = (*dropped, _STORE)
        return quirks._replace(edits=edits, dropped=dropped)

    def count_request(self, body: bytes) -> bytes:
        """Return the body of a token count. A whole request inside it is unwrapped, without its
        model."""
        whole = read_body(body)
        inner = whole.value(spelling(whole, INNER))
        counted = whole if inner is None else read_body(inner)
        contents = counted.value("contents")
        named = None if contents is None else name_roles(contents)
        edits = {} if named is None else {"contents": named}
        return counted.splice({**edits, "model": None})


class VertexCountClientCodec(GenerateContentCodec):
    """A count of tokens as clients of Vertex AI ask for it: with all members side by side."""

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        try:
            body = read_body(raw)
        except RequestFault:
            return raw, ()
        if "contents" not in body.members or len(body.members) == 1:
            return raw, ()
        named = body.splice({"model": msgspec.json.encode(f"models/{target.model}")})
        return b'{"%b":%b}' % (INNER.encode(), named), ()


class _Role(msgspec.Struct):
    role: msgspec.Raw = msgspec.Raw(b"")


_roles = msgspec.json.Decoder(list[_Role])
_contents = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def name_roles(contents: bytes) -> bytes | None:
    """Return the contents with a role for each, by default the user's. Return None if nothing
    changes, or if they are invalid, so that the provider refuses them."""
    try:
        if all(content.role for content in _roles.decode(contents)):
            return None
        named = [{"role": msgspec.Raw(b'"user"'), **one} for one in _contents.decode(contents)]
    except NOT_JSON:
        return None
    return msgspec.json.encode(named)
