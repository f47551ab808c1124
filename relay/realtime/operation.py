"""A realtime connection as an operation: the channels that may serve it, and how each response is
billed.
"""

from collections.abc import Mapping
from typing import ClassVar, Final
from urllib.parse import parse_qs

import msgspec

from dialects.chat.chat import Encoded
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.json.body import read_body
from dialects.media.passed_answer import PassedAnswer
from dialects.realtime import realtime
from dialects.realtime.realtime import SpokenResponse
from dialects.usage.usage import Quantities
from lib.process.asgi import Scope
from relay.catalogue.snapshot import Snapshot
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
from relay.realtime.connection_life import CONNECTION_S
from relay.realtime.hold_sizes import first_bound
from relay.requests.invocation import Invocation

_BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
_BETA_HEADER: Final = (b"openai-beta", b"realtime=v1")


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
