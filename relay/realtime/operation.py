"""A realtime connection as an operation: the channels that may serve it, and how each response is
held and billed.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from dialects.chat.chat import Encoded
from dialects.codec import Target
from dialects.errors.errors import RequestFault, quote_value
from dialects.json.body import read_body
from dialects.media.passed_answer import PassedAnswer
from dialects.realtime import realtime
from dialects.realtime.realtime import SpokenResponse
from dialects.usage.usage import Quantities
from gateway.providers.models import find_row
from lib.process.asgi import Scope
from relay.catalogue.snapshot import Snapshot
from relay.config import CONNECTION_S
from relay.counting.own_count import NO_USAGE
from relay.counting.vocabularies import Family
from relay.credentials.client_secrets import ClientSecret
from relay.operations.unary import (
    Billable,
    Passing,
    Rates,
    Sending,
    UnaryFacts,
    UnaryOperation,
    Urls,
    not_offered,
)
from relay.requests.invocation import Invocation

# The input held before anything about a connection is known.
FIRST_CONTEXT: Final = 4_096
# The limits of an unknown model: those of gpt-realtime.
_CONTEXT: Final = 32_000
_OUTPUT: Final = 4_096
_IN: Final = ("in_text", "in_audio", "in_image")
_BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
_BETA_HEADER: Final = (b"openai-beta", b"realtime=v1")
_OUT: Final = ("out_text", "out_audio")


class ResponseBound(NamedTuple):
    """The most that a response is billed for: a context of `context_tokens` of the most expensive
    input, and an answer of `output_tokens` of the most expensive output. `is_full`: the context
    cannot grow further."""

    context_tokens: int
    output_tokens: int
    is_full: bool = True

    def within(self, context_tokens: int) -> "ResponseBound":
        """Return this bound with at most `context_tokens` of context."""
        if self.context_tokens <= context_tokens:
            return self
        return self._replace(context_tokens=context_tokens, is_full=False)

    def capped(self, output_tokens: int) -> "ResponseBound":
        """Return this bound with at most `output_tokens` of answer."""
        return self._replace(output_tokens=output_tokens)

    def fixed(self, output_tokens: int) -> "FixedBound":
        """Return this bound with an answer of `output_tokens`, which cannot be capped further."""
        return FixedBound(self.context_tokens, output_tokens, self.is_full)

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return _bound(self, rates)

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


class FixedBound(NamedTuple):
    """A `ResponseBound` whose answer cannot be capped: its provider was told the limit already."""

    context_tokens: int
    output_tokens: int
    is_full: bool

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return _bound(self, rates)

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


def _bound(bound: ResponseBound | FixedBound, rates: Rates) -> Mapping[str, int] | None:
    if "in_text" not in rates or "out_text" not in rates:
        return None
    dearest_input = max((name for name in _IN if name in rates), key=lambda name: rates[name])
    dearest_output = max((name for name in _OUT if name in rates), key=lambda name: rates[name])
    return {dearest_input: bound.context_tokens, dearest_output: bound.output_tokens}


class Used(NamedTuple):
    """Usage that is already known when its hold is placed."""

    meters: Mapping[str, int]

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return self.meters

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return self.meters


class Realtime(UnaryOperation):
    """One connection. Each response in it is a request. `unit` is how a response is held."""

    lasts_s: ClassVar[float] = CONNECTION_S

    def __init__(self, unit: Billable) -> None:
        self._unit = unit

    def with_unit(self, unit: Billable) -> "Realtime":
        """Return the operation of another response of the connection."""
        return Realtime(unit)

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        return UnaryFacts(
            own=None,
            body=read_body(raw),
            model=target.model,
            user="",
            text_bytes=0,
            max_cost_nano=None,
            units=(self._unit,),
            stream=True,
        )

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        if "realtime" not in urls:
            raise not_offered(facts, "realtime connections")
        return Sending("realtime", "openai", Encoded(b"{}"), SPOKEN)


def response_bound(snapshot: Snapshot, model: str) -> ResponseBound:
    """Return the bound of a model's responses, over all its channels."""
    names = {model, *(route.upstream_model for route in snapshot.routes_of(model))}
    rows = [row for row in map(find_row, sorted(filter(None, names))) if row is not None]
    return ResponseBound(
        max((row.context_max or _CONTEXT for row in rows), default=_CONTEXT),
        max((row.output_max or _OUTPUT for row in rows), default=_OUTPUT),
    )


def first_bound(snapshot: Snapshot, model: str) -> ResponseBound:
    """Return the bound of the first response, which is held before the connection is open."""
    return response_bound(snapshot, model).within(FIRST_CONTEXT)


def connection_invocation(
    invocation: Invocation, snapshot: Snapshot, scope: Scope, secret: ClientSecret | None
) -> Invocation:
    """Return the invocation of a connection by its query and subprotocols, restricted by its client
    secret. Raises RequestFault."""
    named = parse_qs(scope["query_string"].decode("latin-1")).get("model", [""])
    model = named[-1] if secret is None else _model_within(secret, named[-1])
    if not model:
        raise RequestFault("missing_parameter", "model", "model is required, in the query")
    headers = list(scope["headers"])
    if _BETA_PROTOCOL in scope.get("subprotocols", ()):
        # From the subprotocols, because a page can set no headers.
        headers.append(_BETA_HEADER)
    if secret is not None and any(name.lower() == _BETA_HEADER[0] for name, _ in headers):
        what = "a client secret opens no session of the beta: leave out openai-beta"
        raise RequestFault("unsupported_capability", "openai-beta", what)
    unary = Realtime(first_bound(snapshot, model))
    return msgspec.structs.replace(invocation, target=Target(model), headers=headers, unary=unary)


def _model_within(secret: ClientSecret, named: str) -> str:
    """Return the model of a secret's connection; `named` is the model in the query. Raises
    RequestFault."""
    own: str = secret.session.get("model") or named
    if named and named != own:
        what = f"the client secret is for model {quote_value(own)} only"
        raise RequestFault("invalid_value", "model", what)
    return own


def _reported_quantities(answer: PassedAnswer, rates: Rates) -> Quantities:
    return NO_USAGE if answer.usage is None else realtime.quantities(answer.usage)


def _count_answer(answer: PassedAnswer | None, rates: Rates, family: Family) -> Mapping[str, int]:
    return answer.own_count() if isinstance(answer, SpokenResponse) else {}


SPOKEN: Final = Passing(SpokenResponse, _reported_quantities, _count_answer)
