"""Claude on Google's Vertex AI: rawPredict and streamRawPredict with Claude's own body.

The model is in the path, `anthropic_version` in the body; the stream is Claude's. Errors of
Google's own have Google's form, with the same statuses. Source: platform.claude.com, "Claude on
Vertex AI", and the official client `anthropic` 2.10 (2026-11).
"""

from collections.abc import Mapping
from typing import Final

from dialects.anthropic.hosted import BETA_HEADER, HostedMessagesCodec, betas, fit_body
from dialects.anthropic.request import encode as request_encode
from dialects.anthropic.request.read import ChatFacts
from dialects.chat.chat import ChatRequest, Encoded, Upstream
from dialects.chat.operation import Operation
from dialects.json.body import Quirks, read_body

# Claude searches the web here only with the first. A request with a beta that Vertex does not know
# is refused. Both are from the table of betas of BerriAI/litellm (2026-11).
SEARCH_BETA: Final = "web-search-2025-03-05"
BETAS: Final = frozenset(
    {
        "compact-2026-01-12",
        "compact-2026-09-04",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dangerous-tool-use-2026-09-03",
        "interleaved-thinking-2025-05-14",
        "per-turn-control-2026-07-01",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "tool-search-tool-2025-10-19",
        SEARCH_BETA,
    }
)
_VERSION: Final = b'"vertex-2023-10-16"'
_FORM: Final[Mapping[str, bytes | None]] = {"model": None, "anthropic_version": _VERSION}


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for rawPredict; see `request_encode.encode`."""
    return fit_body(request_encode.encode(request, upstream), request, _FORM)


class VertexMessagesCodec(HostedMessagesCodec):
    """Messages by rawPredict."""

    form = _FORM
    encode = staticmethod(encode)

    def fit_headers(self, facts: ChatFacts, quirks: Quirks, headers: Mapping[str, str]) -> Quirks:
        """Report the betas that `forwarded_headers` leaves out as dropped."""
        unknown = [beta for beta in betas(headers) if beta not in BETAS]
        return quirks._replace(dropped=(*quirks.dropped, *unknown))

    def forwarded_headers(
        self, headers: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        sent = dict(headers)
        if BETA_HEADER in sent:
            known = dict.fromkeys((SEARCH_BETA, *betas(sent)))
            sent[BETA_HEADER] = ",".join(beta for beta in known if beta in BETAS)
        return tuple(sent.items())

    def upstream_operation(self, *, stream: bool) -> Operation:
        return "stream_raw_predict" if stream else "raw_predict"

    def count_request(self, body: bytes) -> bytes:
        """Return a body for counting, which names the model."""
        return read_body(body).splice({"anthropic_version": _VERSION})
