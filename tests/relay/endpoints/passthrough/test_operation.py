"""What a pass-through asks for, by its address alone, and where a redirect may lead its client."""

from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import pytest

from accounts.limits.data_policy import NO_POLICY, DataPolicy
from billing.prices.pricing import PriceVersion
from dialects.errors.errors import RequestFault
from gateway.channels.passthrough.rules import PassThroughRule
from gateway.providers import provider_named
from relay.endpoints.passthrough import operation
from relay.endpoints.passthrough.operation import PassThrough, _Unchanged, _Unit, read_target
from relay.health.channels_out import ChannelsOut

VERSION: Final = PriceVersion.from_stored({"meters": {"requests": 10**9}})
RULES: Final = (
    PassThroughRule(("POST",), "/files"),
    PassThroughRule(("GET",), "/files/*"),
    PassThroughRule(("GET", "DELETE"), "/a/**"),
)


def channel(base_url: str = "https://api.example.com/v1", **over: Any) -> Any:
    known = {
        "name": "east", "base_url": base_url, "path_rules": RULES,
        "provider": provider_named("openai"),
        "passed_headers": {"openai": frozenset({b"accept"})},
    }  # fmt: skip
    return SimpleNamespace(**known | over)


def target(
    raw: str, query: str = "", method: str = "GET", *, key: str | None = "wk-1", **over: Any
) -> PassThrough:
    known = {"east": channel(**over), "a b": channel(**over)}
    snapshot = SimpleNamespace(channel_named=known.get)
    scope = {
        "raw_path": raw.encode("latin-1"), "path": raw, "query_string": query.encode("latin-1"),
        "method": method, "headers": [(b"accept", b"*/*"), (b"user-agent", b"me")],
    }  # fmt: skip
    return read_target(cast(Any, snapshot), cast(Any, scope), key)


@pytest.mark.parametrize(
    ("raw", "query", "url"),
    [
        ("/passthrough/east/files/1", "", "https://api.example.com/v1/files/1"),
        ("/passthrough/east/files/%31", "a=b", "https://api.example.com/v1/files/1?a=b"),
        ("/passthrough/a%20b/files/1", "", "https://api.example.com/v1/files/1"),
    ],
)
def test_a_path_goes_below_the_base_url(raw: str, query: str, url: str) -> None:
    asked = target(raw, query)
    assert (asked.url, asked.method, asked.rule) == (url, "GET", RULES[1])
    assert asked.headers == {"accept": "*/*"}
    assert target(raw, base_url="https://api.example.com/v1/").url == url.partition("?")[0]


def test_user_is_named_where_the_channel_passes_it_on() -> None:
    named = target(
        "/passthrough/east/files/1", passed_headers={"openai": frozenset({b"user-agent"})}
    )
    assert named.headers == {"accept": "*/*", "user-agent": "me"}


@pytest.mark.parametrize(
    ("raw", "query", "method", "kind"),
    [
        ("/passthrough/east", "", "GET", "route_not_found"),
        ("/other/east/files/1", "", "GET", "route_not_found"),
        ("east/files/1", "", "GET", "route_not_found"),
        ("/passthrough/west/files/1", "", "GET", "route_not_found"),
        ("/passthrough/%ff/files/1", "", "GET", "route_not_found"),
        ("/passthrough/east/other", "", "GET", "route_not_found"),
        ("/passthrough/east/files", "", "GET", "method_not_allowed"),
        ("/passthrough/east/files//1", "", "GET", "malformed_json"),
        ("/passthrough/east/files/1", "a=\xe9", "GET", "malformed_json"),
        ("/passthrough/east/files/1", "a=b c", "GET", "malformed_json"),
        # The caller's own key stands in logs of others if it is in the address.
        ("/passthrough/east/files/wk-1", "", "GET", "malformed_json"),
        ("/passthrough/east/files/1", "key=wk%2D1", "GET", "malformed_json"),
    ],
)
def test_unlisted_path_is_not_sent(raw: str, query: str, method: str, kind: str) -> None:
    with pytest.raises(RequestFault) as fault:
        target(raw, query, method)
    assert fault.value.kind == kind


async def test_pass_through_waits_for_the_whole_answer_time() -> None:
    """Its first byte may take as long as all of it: nobody knows whether it is a stream."""
    asked = target("/passthrough/east/files/1")
    prepared = await _Unchanged(asked).prepare(cast(Any, None))
    assert (prepared.url, prepared.stream, prepared.codec.name) == (asked.url, False, "openai")


def test_the_root_of_a_channel_ends_with_a_slash() -> None:
    root = (PassThroughRule(("GET",), "/"),)
    assert target("/passthrough/east/", path_rules=root).url == "https://api.example.com/v1/"
    with pytest.raises(RequestFault) as fault:
        target("/passthrough/east", path_rules=root)
    assert fault.value.kind == "route_not_found"


def test_largest_rule_value_is_held() -> None:
    plain = PassThroughRule(("GET",), "/a", "0.10")
    valued = PassThroughRule(("GET",), "/a", "0.10", "/cost", "0.01", "1.00")
    rates = cast(Any, {})
    assert _Unit(plain).bound(rates) == {}
    assert _Unit(valued).bound(rates) == {"answer_micros": 90_000_000}


def test_channel_without_rules_passes_nothing() -> None:
    with pytest.raises(RequestFault) as fault:
        target("/passthrough/east/files/1", path_rules=())
    assert fault.value.kind == "route_not_found"
    assert target("/passthrough/east/files/wk-1", key=None).url.endswith("/files/wk-1")


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("/v1/files/2", "/passthrough/east/files/2"),
        # Providers put keys and signatures into the query.
        ("2?key=sk-1", "/passthrough/east/files/2"),
        ("https://api.example.com/v1/files/2", "/passthrough/east/files/2"),
        ("https://API.example.com:443/v1/files/2", "/passthrough/east/files/2"),
        ("/v1/a/b/c", "/passthrough/east/a/b/c"),
        # Not below the base URL, at another origin, or on no list.
        ("/v2/files/2", None),
        ("/files/2", None),
        ("/v1", None),
        ("http://api.example.com/v1/files/2", None),
        ("https://api.example.com:444/v1/files/2", None),
        ("https://elsewhere.example.com/v1/files/2", None),
        ("//elsewhere.example.com/v1/files/2", None),
        ("https://me@api.example.com/v1/files/2", None),
        ("https://api.example.com:x/v1/files/2", None),
        ("/v1/other", None),
        ("/v1/files/%2e%2e", None),
    ],
)
def test_redirect_leads_to_a_listed_path_or_nowhere(text: str, here: str | None) -> None:
    assert target("/passthrough/east/files/1").location(text, ()) == here


@pytest.mark.parametrize("spelled", ["sk-east", "sk%2Deast", "a-sk-east-b"])
def test_a_redirect_never_names_the_key(spelled: str) -> None:
    assert target("/passthrough/east/files/1").location(f"/v1/files/{spelled}", ["sk-east"]) is None


def test_a_redirect_may_lead_to_where_its_method_or_a_get_may_go() -> None:
    """A client follows it with GET, or repeats its own method."""
    asked = target("/passthrough/east/files", method="POST")
    assert asked.location("/v1/files/2", ()) == "/passthrough/east/files/2"
    assert asked.location("/v1/files", ()) == "/passthrough/east/files"
    assert target("/passthrough/east/files/1").location("/v1/files", ()) is None
    plain = target("/passthrough/east/files/1", base_url="http://api.example.com/v1")
    assert plain.location("http://api.example.com:80/v1/files/2", ()) == "/passthrough/east/files/2"
    assert plain.location("https://api.example.com:80/v1/files/2", ()) is None


# Which attempt it is ------------------------------------------------------------------------------


class Reader:
    """What was noted of the request, and checked."""

    def __init__(self) -> None:
        self.noted = list[str]()

    def take_name(self, name: str) -> None:
        self.noted.append(name)

    def check_labels(self) -> None:
        self.noted.append("labels")


def routed(
    monkeypatch: pytest.MonkeyPatch, *, allowed: bool = True, own: bool = False, ready: bool = True,
    priced: bool = True, policy: DataPolicy = NO_POLICY,
) -> tuple[Any, Reader]:  # fmt: skip
    """The only attempt of a pass-through with these circumstances."""
    asked, reader = target("/passthrough/east/files/1", id="c"), Reader()
    price = SimpleNamespace(bound=VERSION, version=VERSION)
    asked_for = list[tuple[Any, ...]]()

    def path_price(*named: Any) -> Any:
        asked_for.append(named)
        return price if priced else None

    health = SimpleNamespace(
        ready=lambda candidates, _: candidates if ready else [], blocks=lambda *_: [],
        budget=lambda name: SimpleNamespace(name=name, request=lambda now: None), now=lambda: 0.0,
    )  # fmt: skip
    principal = SimpleNamespace(
        may_use=lambda name: allowed and name == "passthrough/east", organisation_id=UUID(int=1),
        explain_model=lambda name: name,
        team_id=UUID(int=2), price_plan_id=3, multipliers=(), data_policy=policy, postpaid=False,
    )  # fmt: skip
    stored = SimpleNamespace(uncapped=False, conditions=None, zero_retention=False, region="eu")
    context = SimpleNamespace(
        principal=principal, parts=SimpleNamespace(health=health),
        options=SimpleNamespace(max_cost_nano=7_000, data_policy=NO_POLICY),
        snapshot=SimpleNamespace(
            own_keys={}, multiplier_for=lambda *_: 5, path_price=path_price, selective=False,
            channels={"c": stored},
        ),
    )  # fmt: skip
    monkeypatch.setattr(operation, "requires_own_key", lambda *_: own)
    attempts = operation.route_to(cast(Any, context), asked, cast(Any, reader))
    assert asked_for == [("east", "GET /files/*", 5)]
    return attempts, reader


def test_a_pass_through_is_one_attempt_at_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts, reader = routed(monkeypatch)
    one = attempts.answering.routed
    (candidate,) = one.candidates
    assert (candidate.channel_id, candidate.upstream_model) == ("c", "GET /files/*")
    assert candidate.retries == 0, "its body is read once"
    assert (one.model.name, one.facts.model, one.facts.text_bytes) == ("passthrough/east",) * 2 + (
        0,
    )
    assert (one.facts.max_cost_nano, one.retry_budget.name) == (7_000, "passthrough/east")
    assert reader.noted == ["passthrough/east", "labels"]
    assert attempts.answering.holds._context.options.max_cost_nano == 7_000
    assert not attempts._models


@pytest.mark.parametrize(
    ("circumstances", "kind"),
    [
        ({"allowed": False}, "permission"),
        ({"own": True}, "unsupported_capability"),
        ({"priced": False}, "model_unpriced"),
    ],
)
def test_unallowed_pass_through_gets_the_reason(
    monkeypatch: pytest.MonkeyPatch, circumstances: dict[str, bool], kind: str
) -> None:
    with pytest.raises(RequestFault) as fault:
        routed(monkeypatch, **cast(Any, circumstances))
    assert fault.value.kind == kind


def test_resting_or_disallowed_channel_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for circumstances in ({"ready": False}, {"policy": DataPolicy(zero_retention=True)}):
        with pytest.raises(ChannelsOut):
            routed(monkeypatch, **cast(Any, circumstances))
