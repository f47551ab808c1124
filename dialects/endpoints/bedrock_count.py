"""CountTokens of Amazon Bedrock, around a body of InvokeModel or one of Converse.

    {"input": {"invokeModel": {"body": base64}}}      Claude's own form
    {"input": {"converse": {"messages": [...], ...}}}

Amazon counts for Claude's models alone, so Converse's form becomes Claude's before it is counted.
Source: docs.aws.amazon.com, "CountTokens" and "ConverseTokensRequest" (2026-08).
"""

from typing import Final

from dialects.anthropic.cloud_clients import BedrockCountCodec
from dialects.anthropic.request import encode
from dialects.chat.chat import Upstream
from dialects.codec import HeaderLines, Target
from dialects.converse.request import decode
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body

_CONVERSE: Final = "input.converse"


class BedrockAnyCountCodec(BedrockCountCodec):
    """A count of tokens in either form."""

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        conversed = _conversed(raw)
        if conversed is None:
            return super().standard_request(raw, target)
        try:
            request = decode.decode(
                conversed, model=target.model, stream=False, request_id="", received_at=0
            )
            encoded = encode.encode(request, Upstream(target.model))
        except RequestFault as fault:
            fault.param = _CONVERSE if fault.param is None else f"{_CONVERSE}.{fault.param}"
            raise
        return self.without_answer(encoded.body), ()


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
