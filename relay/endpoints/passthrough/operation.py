"""A pass-through as an operation: the channel and the rule that its path names, the price, and what
it holds.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

from billing.prices.lookup import Price
from dialects.chat.chat import Encoded
from dialects.codec import Codec
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.json.body import read_body
from gateway.channel_order.channel_order import Candidate, Route, plan
from gateway.channels.passthrough.rules import (
    ROOT,
    VALUE_METER,
    BadPath,
    PassThroughRule,
    find_rule,
    normalise_path,
    path_of,
)
from gateway.own_keys.routes import requires_own_key
from gateway.providers.codecs import codec_for
from gateway.providers.suffixes import RequestedModel
from lib.id_types import ModelName, UpstreamModelName
from lib.process.asgi import Scope
from relay.attempts.next_attempts import NO_FALLBACKS, NextAttempts, RoutedModel, RoutedModels
from relay.attempts.request_reader import RequestReader
from relay.catalogue.snapshot import Channel, Snapshot
from relay.context.context import RequestContext
from relay.counting.vocabularies import Family
from relay.downstream.error_answers import MethodNotAllowed
from relay.endpoints.passthrough.headers import forwarded_headers
from relay.health.channels_out import none_ready
from relay.hold_sizes.estimate import UnaryHoldEstimate
from relay.holds.place_hold import HoldPlacer
from relay.operations.unary import Rates, UnaryFacts
from relay.preparation.continuation import Continuation
from relay.preparation.prepared import AnswerTraits, ExchangeBody, PreparedRequest
from relay.requests.invocation import MODEL_LENGTH_MAX
from relay.routing.routing import RoutedRequest, screen

_OWN_KEY_ONLY: Final = (
    "your organisation uses this channel with its own provider key only, and pass-through uses the "
    "installation's key; let the key fall back to the installation's channels (Provider keys)"
)
_QUERY: Final = re.compile(r"[!-~]*")
_PORTS: Final = {"http": 80, "https": 443}


class PassThrough(NamedTuple):
    """The target of a pass-through: its channel, the channel's rule for it, and the path there."""

    channel: Channel
    rule: PassThroughRule
    method: str
    url: str
    headers: Mapping[str, str]

    def location(self, text: str, secrets: Iterable[str]) -> str | None:
        """Return where a redirect of the provider leads, as a path of ours; None if that path is
        not allowed, or contains one of `secrets`. Its query is left out: providers put keys and
        signatures into it."""
        try:
            parts = urlsplit(urljoin(self.url, text))
            own = urlsplit(self.url)
            if "@" in parts.netloc or _origin(parts) != _origin(own):
                return None
            path = _path_below(urlsplit(self.channel.base_url).path.rstrip("/"), parts.path)
        except (BadPath, ValueError):
            return None
        match = find_rule(self.channel.path_rules, self.method, path)
        if match.rule is None and find_rule(self.channel.path_rules, "GET", path).rule is None:
            return None
        if any(secret in unquote(path) for secret in secrets):
            return None
        return path_of(self.channel.name, path)


class _Unit(NamedTuple):
    """The most that a request under a rule is billed for."""

    rule: PassThroughRule

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        most = self.rule.value_micros_max
        return {} if most is None else {VALUE_METER: most}

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


class _PathHoldPlacer(HoldPlacer):
    """Places holds with the cost of the pass-through rule instead of a model's."""

    __slots__ = ("_rule",)

    def __init__(
        self, context: RequestContext, routed: RoutedRequest, rule: PassThroughRule
    ) -> None:
        super().__init__(context, routed)
        self._rule = rule

    def find_cost(self, channel: Channel, upstream_model: str) -> Price | None:
        return self._context.snapshot.path_cost(channel.name, self._rule.label)


class _Unchanged:
    """The translator of a request that is sent unchanged."""

    continuation: Continuation | None = None

    def __init__(self, asked: PassThrough) -> None:
        self._asked = asked

    async def prepare(self, candidate: Candidate) -> PreparedRequest:
        return PreparedRequest(
            codec=codec_of(self._asked.channel),
            url=self._asked.url,
            content_type="",
            stream=False,
            client_headers=(),
            body=ExchangeBody(Encoded(b"")),
            traits=AnswerTraits(""),
        )


def codec_of(channel: Channel) -> Codec[Any]:
    """Return the codec that reads the errors of a channel."""
    provider = channel.provider
    return codec_for(provider, next(iter(provider.dialects)))


def read_target(snapshot: Snapshot, scope: Scope, key: str | None) -> PassThrough:
    """Return the target of a request. `key` is the caller's own text of its key. Raises
    RequestFault."""
    raw, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    name, slash, rest = raw.removeprefix(ROOT).partition("/")
    if not raw.startswith(ROOT) or not slash:
        raise _unknown(scope)
    try:
        path = normalise_path(f"/{rest}")
        channel = snapshot.channel_named(unquote_to_bytes(name).decode())
    except BadPath as refused:
        raise RequestFault("malformed_json", None, str(refused)) from None
    except UnicodeDecodeError:
        channel = None
    if channel is None or not channel.path_rules:
        raise _unknown(scope)
    if not _QUERY.fullmatch(query):
        raise RequestFault("malformed_json", None, "the query contains a character to be encoded")
    if key and (key in unquote(path) or key in unquote(query)):
        what = "the API key must be sent in the Authorization header, never in the address"
        raise RequestFault("malformed_json", None, what)
    method = scope["method"]
    match = find_rule(channel.path_rules, method, path)
    if match.rule is None and match.methods:
        raise MethodNotAllowed(method, ", ".join(match.methods))
    if match.rule is None:
        raise _unknown(scope)
    base = urlsplit(channel.base_url)
    url = f"{base.scheme}://{base.netloc}{base.path.rstrip('/')}{path}"
    # Of all its dialects: the list of paths is the provider's, not that of a dialect.
    of_channel = frozenset[bytes]().union(*channel.passed_headers.values())
    headers = forwarded_headers(scope["headers"], of_channel)
    return PassThrough(channel, match.rule, method, f"{url}?{query}" if query else url, headers)


def route_to(context: RequestContext, asked: PassThrough, reader: RequestReader) -> NextAttempts:
    """Return the only attempt of a pass-through. Raises RequestFault, and ChannelsOut if its
    channel cannot be used now.
    """
    principal, channel, rule = context.principal, asked.channel, asked.rule
    # The name that keys, budgets and records have in place of a model.
    name = ModelName(f"passthrough/{channel.name}"[:MODEL_LENGTH_MAX])
    reader.take_name(name)
    if not principal.may_use(name):
        raise RequestFault("permission", None, principal.explain_model(name))
    if requires_own_key(
        context.snapshot.own_keys, channel.id, principal.organisation_id, principal.team_id
    ):
        raise RequestFault("unsupported_capability", None, _OWN_KEY_ONLY)
    reader.check_labels()
    model = RequestedModel(name)
    multiplier_ppm = context.snapshot.multiplier_for(
        name, principal.price_plan_id, principal.multipliers
    )
    price = context.snapshot.path_price(channel.name, rule.label, multiplier_ppm)
    if price is None:
        raise RequestFault("model_unpriced", None, " yet", model=name)
    facts = UnaryFacts(
        own=None,
        body=read_body(b"{}"),
        model=name,
        user="",
        text_bytes=0,
        max_cost_nano=context.options.max_cost_nano,
        units=(_Unit(rule),),
    )
    route = Route(channel.id, name, UpstreamModelName(rule.label), retries=0)
    planned = plan(name, [route], seed=0)
    candidates, skipped = screen(context, facts, planned)
    health = context.parts.health
    ready = health.ready(candidates, principal.organisation_id)
    if not ready:
        blocks = health.blocks(candidates, principal.organisation_id)
        raise none_ready(name, blocks, skipped)
    routed = RoutedRequest(
        facts=facts,
        model=model,
        candidates=ready,
        resting=(),
        planned=planned,
        skipped=skipped,
        price=price,
        estimate=UnaryHoldEstimate(facts, price, max_cost_nano=facts.max_cost_nano),
        retry_budget=health.budget(name),
    )
    routed_model = RoutedModel(
        routed, _Unchanged(asked), _PathHoldPlacer(context, routed, rule), None
    )
    return NextAttempts(context, routed_model, RoutedModels(context, facts, None, NO_FALLBACKS))


def _unknown(scope: Scope) -> RequestFault:
    return RequestFault("route_not_found", None, quote_value(scope["path"]))


def _origin(parts: Any) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _path_below(base: str, path: str) -> str:
    if not path.startswith(f"{base}/"):
        raise BadPath("the path is not below the base URL")
    return normalise_path(path.removeprefix(base))
