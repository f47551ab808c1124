"""CountTokens of Amazon Bedrock, around a body of InvokeModel or one of Converse.

    {"input": {"invokeModel": {"body": base64}}}      Claude's own form
    {"input": {"converse": {"messages": [...], ...}}}

Amazon counts for Claude's models alone, so Converse's form becomes Claude's before it is counted.
Source: docs.aws.amazon.com, "CountTokens" and "ConverseTokensRequest" (2026-08).
"""

from base64 import b64decode
from typing import Final

import msgspec

from dialects.anthropic.cloud_clients import BedrockClientCodec
from dialects.anthropic.count_tokens import read_count
from dialects.anthropic.request import encode
from dialects.chat.chat import Upstream
from dialects.codec import HeaderLines, Target
from dialects.converse.request import decode
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.raw_json import value_of

_CONVERSE: Final = "input.converse"
# What a request for a count does not have.
_NOT_COUNTED: Final = dict.fromkeys(
    ("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata")
)


class BedrockCountCodec(BedrockClientCodec):
    """A count of tokens in either form."""

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        conversed = _conversed(raw)
        if conversed is None:
            standard, lines = super().standard_request(_invoked(raw), target)
            return _without_answer(standard), lines
        try:
            request = decode.decode(
                conversed, model=target.model, stream=False, request_id="", received_at=0
            )
            encoded = encode.encode(request, Upstream(target.model))
        except RequestFault as fault:
            fault.param = _CONVERSE if fault.param is None else f"{_CONVERSE}.{fault.param}"
            raise
        return _without_answer(encoded.body), ()

    def write_count(self, raw: bytes) -> bytes:
        return msgspec.json.encode({"inputTokens": read_count(raw)})


def _without_answer(raw: bytes) -> bytes:
    """Return a request without what concerns its answer alone, which is not counted."""
    try:
        return read_body(raw).splice(_NOT_COUNTED)
    except RequestFault:
        # Whoever reads the request refuses it.
        return raw


def _conversed(raw: bytes) -> bytes | None:
    """Return the body of Converse inside one of CountTokens; None if it has none, or is invalid."""
    input_ = read_body(raw).value("input")
    if input_ is None or not input_.startswith(b"{"):
        return None
    conversed = read_body(input_).value("converse")
    if conversed is None or conversed == b"null":
        return None
    if not conversed.startswith(b"{"):
        raise RequestFault("invalid_type", _CONVERSE, f"{_CONVERSE} must be an object")
    return conversed


def _invoked(raw: bytes) -> bytes:
    """Return the body of InvokeModel inside one of CountTokens. Raises RequestFault."""
    input_ = _member(read_body(raw), "input")
    invoked = _member(input_, "input.invokeModel", "invokeModel")
    encoded = value_of(invoked.value("body") or b"null")
    try:
        return b64decode(encoded, validate=True)
    except (TypeError, ValueError):
        what = "input.invokeModel.body must be the request as base64"
        raise RequestFault("invalid_type", "input.invokeModel.body", what) from None


def _member(body: Body, path: str, name: str = "") -> Body:
    raw = body.value(name or path)
    if raw is None:
        raise RequestFault("missing_parameter", path, f"{path} is required")
    if not raw.startswith(b"{"):
        raise RequestFault("invalid_type", path, f"{path} must be an object")
    return read_body(raw)
