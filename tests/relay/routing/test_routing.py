"""Which channels may answer, at which price and with how much held, step by step (I13, P2, P12)."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import pytest

from accounts.limits.data_policy import NO_POLICY, DataPolicy
from dialects.chat.hosted_tools import HostedTool
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from gateway.channel_order.channel_order import Candidate, Route, Skipped
from gateway.own_keys.routes import OwnKeyRequired
from gateway.providers.capabilities import Capabilities
from lib.id_types import UpstreamModelName
from relay.health.channels_out import ChannelsOut
from relay.health.operator_alerts import Alert
from relay.hold_sizes.estimate import Unpriced
from relay.operations.unary import UnaryFacts
from relay.routing import routing
from relay.routing.routing import RoutedRequest

A, B = (Candidate(name, UpstreamModelName("up"), 2) for name in "ab")
MODEL: Final = SimpleNamespace(name="m")


def context(**over: Any) -> Any:
    """A request's context, of what a test names."""
    known = {
        "principal": SimpleNamespace(organisation_id=UUID(int=1), team_id=UUID(int=2), tpm=None,
                                     postpaid=False, price_plan_id=None, multipliers=(),
                                     data_policy=NO_POLICY, project="own", tags=("t",)),
        "options": SimpleNamespace(max_cost_nano=None, data_policy=NO_POLICY, labels=None),
        "snapshot": SimpleNamespace(selective=False, own_keys={}, unpriced_models="allow"),
    }  # fmt: skip
    return SimpleNamespace(**known | over)


def channels(**of: Any) -> Any:
    known = {"uncapped": False, "conditions": None, "zero_retention": False, "region": "",
             "limits": None, "overrides": None}  # fmt: skip
    return {name: SimpleNamespace(**known | one) for name, one in of.items()}


# The whole of it ----------------------------------------------------------------------------------


class Health:
    """What is ready now; and the alerts."""

    def __init__(self, ready: list[Candidate]) -> None:
        self._ready, self.told = ready, list[Alert]()
        self.alerts = SimpleNamespace(report=self.told.append)

    def ready(self, candidates: object, organisation_id: UUID) -> list[Candidate]:
        return self._ready

    def budget(self, model: str) -> str:
        return f"budget of {model}"

    def skipped(self, candidates: list[Candidate], organisation_id: UUID) -> list[Skipped]:
        return [Skipped(one.channel_id, "failing") for one in candidates]

    def blocks(self, *_: object) -> list[Any]:
        return []


def routed(
    monkeypatch: pytest.MonkeyPatch, ready: list[Candidate], *, unpriced: str = "allow",
    price: Any = None, own: bool = False, **over: Any,
) -> tuple[RoutedRequest, Health]:  # fmt: skip
    health = Health(ready)
    snapshot = SimpleNamespace(
        own_keys={}, unpriced_models=unpriced, channels=channels(a={"own": own}, b={"own": own})
    )
    monkeypatch.setattr(routing, "affinity_of", lambda *_: b"x")
    monkeypatch.setattr(routing, "_plan_candidates", lambda *_: [A, B])
    monkeypatch.setattr(routing, "screen", lambda *_: ([A, B], ()))
    monkeypatch.setattr(routing, "_keep_priced", lambda *_: (price, None))
    asked = context(snapshot=snapshot, parts=SimpleNamespace(health=health))
    facts = SimpleNamespace(model="m")
    return routing.route(asked, cast(Any, facts), cast(Any, MODEL), **over), health


def test_resting_channel_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = routed(monkeypatch, [B])
    assert (one.candidates, one.resting, one.planned) == ([B], [A], [A, B])
    assert one.skipped == [Skipped("a", "failing")]
    assert cast(Any, one.retry_budget) == "budget of m"
    one, _ = routed(monkeypatch, [A, B])
    assert (one.candidates, one.resting, one.skipped) == ([A, B], (), ())
    one, _ = routed(monkeypatch, [B], whatever_rests=True)
    assert (one.candidates, one.resting) == ([A, B], ())
    with pytest.raises(ChannelsOut) as out:
        routed(monkeypatch, [])
    assert [skipped.channel_id for skipped in out.value.skipped] == ["a", "b"]


@pytest.mark.parametrize(
    ("price", "unpriced", "told"),
    [(None, "alert", True), (None, "allow", False), ("some", "alert", False)],
)
def test_operators_learn_of_an_unpriced_model_if_wanted(
    monkeypatch: pytest.MonkeyPatch, price: Any, unpriced: str, told: bool
) -> None:
    _, health = routed(monkeypatch, [A, B], unpriced=unpriced, price=price)
    assert health.told == ([Alert("", "", "unpriced", "m")] if told else [])


def test_free_model_gets_an_assumed_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = routed(monkeypatch, [A])
    assert one.cap_max(99) == 99
    priced: Any = cast(Any, RoutedRequest)(*(None,) * 7, SimpleNamespace(cap=7), None)
    assert priced.cap_max(99) == 7


def test_an_open_connection_stays_at_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [Route("a", "m"), Route("b", "m")]
    snapshot = SimpleNamespace(routes_of=lambda _: routes, selective=False)
    asked = context(snapshot=snapshot, parts=SimpleNamespace(health=Health([])))
    monkeypatch.setattr(routing, "_keep_priced", lambda *_: ("price", "estimate"))
    facts = SimpleNamespace(model="m")
    one = routing.stay(asked, cast(Any, facts), cast(Any, MODEL), "b")
    assert [candidate.channel_id for candidate in one.candidates] == ["b"]
    assert (cast(Any, one.price), one.resting) == ("price", ())
    with pytest.raises(RequestFault) as fault:
        routing.stay(asked, cast(Any, facts), cast(Any, MODEL), "c")
    assert fault.value.kind == "no_channel"


# The only channels --------------------------------------------------------------------------------


def unary(**over: Any) -> UnaryFacts:
    known = {"own": None, "body": read_body(b"{}"), "model": "m", "user": "", "text_bytes": 0,
             "max_cost_nano": None, "units": ()}  # fmt: skip
    return UnaryFacts(**known | over)


def test_stored_object_stays_at_its_channel_and_key() -> None:
    here, key, own = UUID(int=7), UUID(int=8), UUID(int=6)
    snapshot = SimpleNamespace(
        routes_of=lambda _: [Route("a", "m"), Route("b", "m")],
        channels=channels(
            a={"uuid": here, "key_ids": (key,), "own": None},
            b={"uuid": UUID(int=9), "key_ids": (key,), "own": None},
            mine={"uuid": here, "key_ids": (own,), "own": "terms"},
        ),
        only_candidate=lambda _: [A],
    )
    asked = context(snapshot=snapshot)

    def found(**over: Any) -> list[str]:
        facts = unary(only_channel=here, **over)
        planned = routing._plan_candidates(asked, cast(Any, facts), "m", b"")
        mine = [replace(one, channel_id="mine") for one in planned]
        with_key = routing._with_only_key(asked, cast(Any, facts), [*mine, *planned])
        return [one.channel_id for one in with_key]

    assert (found(), found(only_key=key), found(only_key=own)) == (["a"], ["a"], ["mine"])
    with pytest.raises(RequestFault) as fault:
        found(only_key=UUID(int=1))
    assert fault.value.kind == "no_channel"


def test_the_only_candidate_of_a_model_needs_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    only = [[A], None]
    snapshot = SimpleNamespace(
        only_candidate=lambda _: only.pop(0), routes_of=lambda _: [Route("b", "m")]
    )
    monkeypatch.setattr(routing, "ordering_of", lambda *_: None)
    for facts in (unary(), SimpleNamespace(only_channel=None)):
        (one,) = routing._plan_candidates(context(snapshot=snapshot), cast(Any, facts), "m", b"")
        assert one.channel_id == ("a" if only else "b")


@pytest.mark.parametrize(("operation", "word"), [(True, "sessions"), (False, "no longer offered")])
def test_own_key_only_request_gets_the_reason_none_serves(
    monkeypatch: pytest.MonkeyPatch, operation: bool, word: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OwnKeyRequired(operation=operation)

    monkeypatch.setattr(routing, "plan_own", refuse)
    snapshot = SimpleNamespace(own_keys={UUID(int=1): ()}, served_name=lambda name: name)
    asked = context(snapshot=snapshot, invocation=SimpleNamespace(operation="chat"))
    with pytest.raises(RequestFault) as fault:
        routing.plan_own_keys(asked, [A], "m")
    assert word in fault.value.message
    asked.snapshot.own_keys = {UUID(int=3): ()}
    assert routing.plan_own_keys(asked, [A], "m") == [A]


# Its price ----------------------------------------------------------------------------------------


class Terms:
    """A price, and which of its terms were asked for."""

    def __init__(self, *, others: bool = False, regions: bool = False) -> None:
        self.others, self.regions, self.asked = others, regions, list[str]()

    def within(self, regions: Any) -> "Terms":
        self.asked.append(f"within {list(regions)}")
        return self

    def for_request(self, tier: str | None) -> "Terms":
        self.asked.append(f"tier {tier}")
        return self

    def asking(self, conditions: Any) -> "Terms":
        self.asked.append("asking")
        return self


@pytest.mark.parametrize(
    ("price", "tier", "asked"),
    [
        (Terms(), None, ["asking"]),
        (Terms(), "flex", ["tier flex", "asking"]),
        (Terms(others=True), None, ["tier None", "asking"]),
        (Terms(regions=True), None, ["within ['eu']", "tier None", "asking"]),
    ],
)
def test_price_follows_the_requested_terms(
    monkeypatch: pytest.MonkeyPatch, price: Terms, tier: str | None, asked: list[str]
) -> None:
    monkeypatch.setattr(routing, "requested_tier", lambda _: tier)
    monkeypatch.setattr(routing, "asked_conditions", lambda _: None)
    snapshot = SimpleNamespace(
        multiplier_for=lambda *_: 10**6, price_of=lambda name, ppm: price if name == "m" else None,
        channels=channels(a={"priced_in": lambda _: "eu"}),
    )  # fmt: skip
    facts: Any = SimpleNamespace(body=None)
    assert routing._price(context(snapshot=snapshot), facts, "m", [A]) is cast(Any, price)
    assert price.asked == asked
    assert routing._price(context(snapshot=snapshot), facts, "free", [A]) is None


def kept(
    monkeypatch: pytest.MonkeyPatch, price: Any, *, unpriced_models: str = "reject",
    misdirected: Any = None, members: Any = (), dialects: tuple[str, ...] = ("openai",),
    unary: Any = None, estimate: Any = "estimate",
) -> Any:  # fmt: skip
    """The kept price; or the word of what is raised."""

    def estimated(*_: object) -> Any:
        if estimate is None:
            raise Unpriced("m")
        return estimate

    monkeypatch.setattr(routing, "_price", lambda *_: price)
    monkeypatch.setattr(routing, "_estimate", estimated)
    monkeypatch.setattr(routing, "find_row", lambda _: None)
    monkeypatch.setattr(routing, "misdirected_fault", lambda *_: misdirected)
    monkeypatch.setattr(routing, "unpriced_members", lambda *_: members)
    monkeypatch.setattr(routing, "unpriced_members_fault", lambda *_: ValueError("members"))
    monkeypatch.setattr(routing, "unpriced_fault", lambda *_: ValueError("unpriced"))
    provider = SimpleNamespace(name="p", dialects=dialects)
    asked = context(
        snapshot=SimpleNamespace(
            channels=channels(a={"provider": provider}), unpriced_models=unpriced_models
        ),
        invocation=SimpleNamespace(
            operation="chat", codec=SimpleNamespace(name="openai"), unary=unary
        ),
        parts=SimpleNamespace(config=SimpleNamespace(public_url="")),
    )
    facts: Any = SimpleNamespace(body=None)
    try:
        return routing._keep_priced(asked, facts, cast(Any, MODEL), [A])
    except ValueError as fault:
        return str(fault)


def test_a_request_has_a_price_or_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    price = SimpleNamespace(listed=True)
    assert kept(monkeypatch, price) == (price, "estimate")
    assert kept(monkeypatch, price, misdirected=ValueError("elsewhere")) == "elsewhere"
    assert kept(monkeypatch, price, estimate=None) == "unpriced"
    assert kept(monkeypatch, price, estimate=None, unpriced_models="allow") == "unpriced"
    assert kept(monkeypatch, None) == "unpriced"
    assert kept(monkeypatch, None, unpriced_models="allow") == (None, None)


def test_unpriced_members_are_rejected_when_forwarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, own = SimpleNamespace(listed=True), SimpleNamespace(listed=False)
    assert kept(monkeypatch, listed, members=("x",)) == "members"
    assert kept(monkeypatch, own, members=("x",)) == (own, "estimate")
    assert kept(monkeypatch, listed, members=("x",), dialects=("gemini",)) == (listed, "estimate")
    for has_tools in (True, False):
        one = kept(
            monkeypatch, listed, members=("x",), dialects=("gemini",),
            unary=SimpleNamespace(has_tools=has_tools),
        )  # fmt: skip
        assert (one == "members") is has_tools
    assert kept(monkeypatch, None, members=("x",), unpriced_models="allow") == (None, None)


# How much is held ---------------------------------------------------------------------------------


def estimated(
    monkeypatch: pytest.MonkeyPatch, *models: Capabilities, own_max: int | None = None,
    header_max: int | None = None, unseen: bool = False, added: Sequence[int] = (),
    limited: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What the hold of a chat is estimated by."""
    held = dict[str, Any]()
    of = iter(models)

    def estimate(facts: Any, price: Any, among: Any, **values: Any) -> str:
        held.update(values, channels=among)
        return "estimate"

    monkeypatch.setattr(routing, "HoldEstimate", estimate)
    monkeypatch.setattr(routing, "capabilities_of", lambda *_: next(of))
    monkeypatch.setattr(routing, "_steps", lambda *_: ())
    monkeypatch.setattr(routing, "_tool_loop", lambda *_: "loop")
    monkeypatch.setattr(routing, "_tokens_max", lambda *_: 55)
    overrides = [SimpleNamespace(added_bytes=size, when=()) for size in (*added, 0, 0)]
    tools = (HostedTool("web_search", 3, 3),)
    codec = SimpleNamespace(unseen_input=lambda _: unseen, hosted_tools=lambda _: tools)
    asked = context(
        options=SimpleNamespace(max_cost_nano=header_max),
        parts=SimpleNamespace(config=SimpleNamespace(output_tokens_assumed=1000)),
        invocation=SimpleNamespace(codec=codec),
        snapshot=SimpleNamespace(
            limited=limited,
            channels=channels(
                a={"provider": None, "overrides": overrides[0]},
                b={"provider": None, "overrides": overrides[1]},
            ),
        ),
    )
    asked.principal.tpm = 44
    facts: Any = SimpleNamespace(max_cost_nano=own_max, model="m")
    candidates = [A, B][: len(models)]
    assert routing._estimate(asked, facts, "m", cast(Any, None), candidates) == cast(
        Any, "estimate"
    )
    return held


def test_hold_covers_the_dearest_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, large = Capabilities(output_max=None), Capabilities(output_max=5000)
    held = estimated(monkeypatch, plain)
    assert (held["assumed_cap"], held["thinking_tokens"], held["unseen_tokens"]) == (1000, 0, 0)
    assert (held["added_bytes"], held["searches"], held["tool_loop"]) == (0, 3, "loop")
    assert held["tokens_max"] == 44
    assert len(held["channels"]) == 1
    assert estimated(monkeypatch, large, plain)["assumed_cap"] == 5000
    assert estimated(monkeypatch, plain, limited=True)["tokens_max"] == 55
    # What it may think in addition to its cap.
    thinks = replace(plain, flags=frozenset({"cap_without_thinking"}))
    held = estimated(monkeypatch, thinks, plain)
    assert held["thinking_tokens"] == 32_000
    thinks = replace(large, flags=frozenset({"cap_without_thinking"}))
    assert estimated(monkeypatch, thinks)["thinking_tokens"] == 5000
    less = replace(thinks, output_max=700)
    assert estimated(monkeypatch, thinks, less)["thinking_tokens"] == 5000
    assert estimated(monkeypatch, less, thinks)["thinking_tokens"] == 5000
    # What it reads that is not in the body, and what a channel adds.
    assert estimated(monkeypatch, plain, unseen=True)["unseen_tokens"] == 200_000
    known = replace(plain, context_max=8000)
    assert estimated(monkeypatch, known, unseen=True)["unseen_tokens"] == 8000
    for two in ((known, plain), (plain, known)):
        assert estimated(monkeypatch, *two, unseen=True)["unseen_tokens"] == 200_000
    for added in ((70,), (70, 3), (3, 70)):
        assert estimated(monkeypatch, plain, plain, added=added)["added_bytes"] == 70


@pytest.mark.parametrize(
    ("own", "header", "most"),
    [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)],
)
def test_lower_cost_limit_applies(
    monkeypatch: pytest.MonkeyPatch, own: int | None, header: int | None, most: int | None
) -> None:
    held = estimated(monkeypatch, Capabilities(), own_max=own, header_max=header)
    assert held["max_cost_nano"] == most


def test_other_requests_are_held_for_by_their_units(monkeypatch: pytest.MonkeyPatch) -> None:
    estimate = cast(Any, lambda facts, price, max_cost_nano: ("units", max_cost_nano))
    monkeypatch.setattr(routing, "UnaryHoldEstimate", estimate)
    asked = context(options=SimpleNamespace(max_cost_nano=3))
    assert routing._estimate(asked, unary(), "m", cast(Any, None), [A]) == cast(Any, ("units", 3))


def steps_of(**wanted: Any) -> Any:
    """What a request may be billed for besides its answer."""

    def price_of(name: str, ppm: int) -> Any:
        bound = SimpleNamespace(bound=f"{name} at {ppm}")
        return None if name == "unpriced" else SimpleNamespace(asking=lambda _: bound)

    known = {"compacts": False, "fallbacks": (), "any_fallback": False, "advisors": ()}
    found = SimpleNamespace(**known | wanted) if wanted else None
    asked = context(
        invocation=SimpleNamespace(codec=SimpleNamespace(other_steps=lambda _: found)),
        snapshot=SimpleNamespace(price_of=price_of, dearest_like=lambda _: ("dear",)),
    )
    price = SimpleNamespace(version=SimpleNamespace(multiplier_ppm=7), asked=None, bound="own")
    facts: Any = SimpleNamespace(model="m")
    steps = routing._steps(asked, facts, cast(Any, price), 100)
    return [(one.version, one.uses, one.output_tokens, one.summary_tokens) for one in steps]


def test_every_billable_step_is_held_for() -> None:
    assert steps_of() == []
    assert steps_of(compacts=True) == [("own", 1, 100, 0), ("own", 1, 0, 100)]
    assert steps_of(fallbacks=("x", "unpriced")) == [("x at 7", 1, None, 0)]
    assert steps_of(any_fallback=True) == [("dear at 7", 1, None, 0)]
    advisors = [
        SimpleNamespace(model="y", uses=3, output_cap=None),
        SimpleNamespace(model="z", uses=2, output_cap=9),
        SimpleNamespace(model="unpriced", uses=2, output_cap=9),
    ]
    assert steps_of(advisors=advisors) == [("y at 7", 3, 100, 0), ("z at 7", 2, 9, 0)]


@pytest.mark.parametrize(
    ("client", "of_channels", "most"),
    [
        (None, [5, 9], 9),
        (7, [5, 9], 7),
        (10, [5, 9], 9),
        (10, [None, 9], 10),
        (None, [None, 9], None),
        (10, ["unlimited", 9], 10),
        (None, ["unlimited", 9], None),
        (7, [], 7),
    ],
)
def test_token_limit_a_request_must_fit(
    client: int | None, of_channels: list[Any], most: int | None
) -> None:
    """None: the channel has no limits; unlimited: it has others."""
    limits: dict[str, Any] = {
        name: {"limits": tpm and SimpleNamespace(tpm=None if tpm == "unlimited" else tpm)}
        for name, tpm in zip("ab", of_channels, strict=False)
    }
    asked = context(snapshot=SimpleNamespace(channels=channels(**limits)))
    asked.principal.tpm = client
    assert routing._tokens_max(asked, [A, B][: len(of_channels)]) == most


# Who may serve it ---------------------------------------------------------------------------------


class Asks:
    """A channel's conditions: the reason against a request, and how it was asked."""

    def __init__(self, reason: str | None) -> None:
        self.reason, self.asked = reason, list[Any]()

    def why_not(self, screened: Any) -> str | None:
        self.asked.append(screened)
        return self.reason


def facts_of(body: bytes = b"{}", **over: Any) -> Any:
    known = {"body": read_body(body), "model": "m", "text_bytes": 40, "media": {}}
    return SimpleNamespace(**known | over)


def screened(
    asked: Any = None, facts: Any = None, **of: Any
) -> tuple[list[str], list[tuple[str, str]]]:
    asked = asked or context()
    asked.options.labels = SimpleNamespace(project="", tags=("u",), customer="c")
    asked.snapshot = SimpleNamespace(selective=True, channels=channels(**{"a": {}, "b": {}} | of))
    left, skipped = routing.screen(asked, facts or facts_of(), [A, B])
    return [one.channel_id for one in left], [(one.channel_id, one.reason) for one in skipped]


def test_no_selection_means_no_screening() -> None:
    planned = [A, B]
    left, skipped = routing.screen(context(), facts_of(), planned)
    assert (left is planned, skipped) == (True, ())
    assert screened() == (["a", "b"], [])


def test_data_goes_only_where_every_policy_allows() -> None:
    zero, europe = DataPolicy(zero_retention=True), DataPolicy(regions=(("eu",),))
    for own, requested, left in (
        (zero, NO_POLICY, ["b"]), (NO_POLICY, zero, ["b"]), (zero, europe, ["b"]),
        (NO_POLICY, europe, ["a", "b"]),
    ):  # fmt: skip
        asked = context(options=SimpleNamespace(data_policy=requested))
        asked.principal.data_policy = own
        result = screened(asked, a={"region": "eu"}, b={"region": "eu", "zero_retention": True})
        assert result == (left, [("a", "retention")] if left == ["b"] else [])
    asked = context()
    asked.principal.data_policy = zero
    with pytest.raises(ChannelsOut) as out:
        screened(asked)
    assert out.value.kind == "data_policy"
    # A policy alone is reason enough to look.
    asked.snapshot = SimpleNamespace(selective=False, channels=channels(a={}))
    with pytest.raises(ChannelsOut):
        routing.screen(asked, facts_of(), [A])


def test_cost_above_a_hold_is_for_postpaid_customers() -> None:
    """I13."""
    asked = context()
    assert screened(asked, a={"uncapped": True}) == (["b"], [("a", "prepaid")])
    asked.principal.postpaid = True
    assert screened(asked, a={"uncapped": True}) == (["a", "b"], [])


def test_conditions_see_the_whole_request() -> None:
    no, yes = Asks("plan"), Asks(None)
    facts = facts_of(b'{"tools": [{}]}', media={"image": 1, "audio": 0}, stream=True)
    assert screened(None, facts, a={"conditions": no}, b={"conditions": yes}) == (
        ["b"], [("a", "plan")]
    )  # fmt: skip
    (one,) = no.asked
    assert yes.asked == [one]
    assert yes.asked[0] is one, "it is made once"
    assert one.features == {"image", "tools", "stream"}
    assert (one.project, one.tags, one.customer) == ("own", ("t", "u"), "c")
    assert one.holders == (UUID(int=2), UUID(int=1))
    for body in (b"{}", b'{"tools": []}', b'{"tools": null}'):
        plain = Asks(None)
        screened(None, facts_of(body), a={"conditions": plain})
        assert plain.asked[0].features == set()
