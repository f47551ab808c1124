"""The row of an attempt says whose it is, and what it was sent to: by its channel, the key of it
that was chosen, and the price at which it is held."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from billing.prices.own_key_fee import OwnKeyFee
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from gateway.channel_order.channel_order import Candidate, Skipped
from lib.id_types import UpstreamModelName
from relay.context.context import PromptUse
from relay.downstream.limit_answers import ChannelFull, LimitReached, UsedUp
from relay.errors import WindowMissing
from relay.hold_sizes.estimate import Size
from relay.holds.admitted_attempt import Chosen, OwnKeyHold
from relay.holds.place_hold import NOTHING_TAKEN, HoldPlacer, _reduce_units
from relay.ledger.admission import Verdict
from relay.requests.labels import Attribution
from relay.requests.sessions import Session
from tests.relay.downstream.test_limit_answers import reached

CHANNEL, KEYS = UUID(int=1), (UUID(int=2), UUID(int=3))
SESSION = Session(UUID(int=9), "task 1", "x-weir-session")
CANDIDATE = Candidate("a", UpstreamModelName("there"), 0)
PRICE: Any = SimpleNamespace(id=21, version=SimpleNamespace(multiplier_ppm=1_500_000), regions=())
COST: Any = SimpleNamespace(id=22)


def placer(*, estimate: Any = None, asked: str = "", **options: Any) -> HoldPlacer:
    channel = SimpleNamespace(
        uuid=CHANNEL, name="west", key_endings=("aaaa", "bbbb"), key_ids=KEYS, own=None
    )
    other = SimpleNamespace(name="east")
    known = {
        "labels": None, "client_app": "codex", "end_user": "", "session_cap_nano": None,
        "flags": (), "address": "",
    }  # fmt: skip
    context = SimpleNamespace(
        snapshot=SimpleNamespace(channels={"a": channel, "b": other}),
        invocation=SimpleNamespace(codec=CODECS["anthropic"], operation="messages", unary=None),
        principal=SimpleNamespace(
            organisation_id=UUID(int=4), team_id=UUID(int=5), key_id=UUID(int=6), user_id=7,
            attribution=lambda labels, app: Attribution("search", '["beta"]', "c-42", app),
            limited=False, budgets=(), allowances=(),
        ),
        options=SimpleNamespace(**known | options), session=SESSION, prompt=PromptUse("bot", 3),
        request_id=UUID(int=8), source="playground",
        parts=SimpleNamespace(config=SimpleNamespace(public_url="https://hub.example")),
    )  # fmt: skip
    facts = SimpleNamespace(text_bytes=4_000, stream=True, user="u" * 300, choices=2)
    routed = SimpleNamespace(
        estimate=estimate, price=PRICE, facts=facts, model=SimpleNamespace(name="m"),
        planned=[CANDIDATE],
    )  # fmt: skip
    return HoldPlacer(cast(Any, context), cast(Any, routed), asked)


def row(own: Any = None, price: Any = PRICE, cost: Any = COST, **over: Any) -> Any:
    skipped = [Skipped("b", "key_refused")] * 20
    chosen = Chosen(CANDIDATE, "failover", 1, skipped)
    return placer(**over)._make_row(chosen, 2, Size(900, None), price, cost, own)


def test_row_of_an_attempt_has_its_channel_key_price_and_labels() -> None:
    opened = row(asked="usual")
    assert (opened.request_id, opened.n, opened.source) == (UUID(int=8), 2, "playground")
    assert (opened.organisation_id, opened.team_id, opened.key_id, opened.user_id) == (
        UUID(int=4), UUID(int=5), UUID(int=6), 7,
    )  # fmt: skip
    assert (opened.model, opened.asked_model, opened.upstream_model) == ("m", "usual", "there")
    assert (opened.channel_id, opened.channel_name) == (CHANNEL, "west")
    assert (opened.channel_key, opened.channel_key_id) == ("bbbb", KEYS[1])
    assert (opened.dialect, opened.operation, opened.stream) == ("anthropic", "messages", True)
    assert (opened.hold_nano, opened.price_version_id, opened.cost_version_id) == (900, 21, 22)
    assert (opened.multiplier_ppm, opened.input_estimate, opened.why) == (
        1_500_000, 1_000, "failover",
    )  # fmt: skip
    assert (opened.project, opened.tags, opened.customer, opened.client_app) == (
        "search", '["beta"]', "c-42", "codex",
    )  # fmt: skip
    assert (opened.session_id, opened.prompt, opened.prompt_version) == (UUID(int=9), "bot", 3)
    assert json.loads(opened.session) == {"name": "task 1", "source": "x-weir-session"}
    assert opened.own_fee is None
    # Channels that were passed over are told by their names, and not all of them.
    skipped = json.loads(opened.skipped)
    assert skipped == [{"channel": "east", "reason": "key_refused"}] * 16


def test_end_user_of_a_row_is_the_known_one_else_the_one_that_the_body_names() -> None:
    assert row(end_user="ann@example.com").end_user == "ann@example.com"
    assert row().end_user == "u" * 256


def test_row_of_an_own_key_holds_its_fee() -> None:
    fee = OwnKeyFee(request_nano=5)
    opened = row(own=OwnKeyHold(fee, 40), cost=None)
    assert (opened.hold_nano, opened.cost_version_id) == (40, None)
    assert json.loads(opened.own_fee) == json.loads(fee.stored())
    free = row(price=None)
    assert (free.price_version_id, free.multiplier_ppm) == (None, 1_000_000)


def test_row_of_a_stored_answer_names_no_channel() -> None:
    opened = placer()._make_cached_row(Size(7, None))
    assert (opened.channel_id, opened.channel_name, opened.upstream_model) == (None, "", "")
    assert (opened.channel_key, opened.channel_key_id, opened.why) == ("", None, "")
    assert (opened.hold_nano, opened.input_estimate, opened.n) == (7, 0, 1)
    assert (opened.price_version_id, opened.cost_version_id) == (None, None)
    assert (opened.project, opened.session_id) == ("search", UUID(int=9))


@pytest.mark.parametrize(
    ("over", "limits", "own", "guarded"),
    [
        ({}, None, None, None),
        ({"session_cap_nano": 6}, None, None, (0, None, 6, None)),
        ({}, None, OwnKeyHold(OwnKeyFee(), 40), (0, None, None, 900)),
        # The tokens count where someone limits them: what is read, and what may be answered.
        ({}, "limits", None, (4_000, "limits", None, None)),
    ],
)
def test_limits_beside_the_wallet_are_those_that_there_are(
    over: Any, limits: Any, own: Any, guarded: Any
) -> None:
    guard = placer(end_user="ann", **over)._make_guard(Size(900, None), limits, NOTHING_TAKEN, own)
    if guarded is None:
        assert guard is None
        return
    assert guard is not None
    assert (guard.tokens, guard.channel, guard.session_cap_nano, guard.own_nano) == guarded
    assert (guard.end_user, guard.budget_ids) == ("ann", ())
    estimate: Any = SimpleNamespace(
        input_tokens=70, cap=500, first=lambda: Size(900, None)
    )  # fmt: skip
    for cap, tokens in ((None, 70 + 2 * 500), (30, 70 + 2 * 30)):
        counted = placer(estimate=estimate)._make_guard(
            Size(900, cap), cast(Any, "limits"), NOTHING_TAKEN, None
        )
        assert counted is not None
        assert counted.tokens == tokens


# ---- what a verdict means


@pytest.mark.parametrize(
    ("word", "details", "error", "kind"),
    [
        ("key_gone", None, RequestFault, "authentication"),
        ("session_ended", None, RequestFault, "session_ended"),
        ("no_window", None, WindowMissing, None),
        ("limited", reached(scope="channel"), ChannelFull, None),
        ("limited", reached(), LimitReached, "rate_limited"),
    ],
)
def test_refusal_that_is_not_for_money_is_told_as_what_it_is(
    word: str, details: Any, error: type[Exception], kind: str | None
) -> None:
    with pytest.raises(error) as refused:
        placer()._find_smaller(Verdict(word, 0, details), 0)
    assert kind is None or getattr(refused.value, "kind", None) == kind


def test_refusal_for_money_names_the_least_that_is_needed() -> None:
    estimate: Any = SimpleNamespace(
        first=lambda: Size(900, None), least_nano=20_000_000, within=lambda nano: nano
    )
    # Included units pay a part of the price.
    smaller: Any = placer(estimate=estimate)._find_smaller(Verdict("no_money", 5, None), 7)
    assert smaller == 12
    verdict, size = Verdict("no_money", 5_000_000, None), Size(900_000_000, None)
    with pytest.raises(UsedUp) as refused:
        placer(estimate=estimate)._refuse(verdict, size, None)
    assert "needed 0.02 USD, available 0.005 USD" in refused.value.message
    assert "https://hub.example" in refused.value.message
    with pytest.raises(UsedUp) as fee:
        placer(estimate=estimate)._refuse(verdict, size, OwnKeyHold(OwnKeyFee(), 30_000_000))
    assert "needed 0.03 USD" in fee.value.message
    with pytest.raises(UsedUp) as cached:
        placer()._refuse(verdict, size, None)
    assert "needed 0.90 USD" in cached.value.message


def test_units_that_were_refused_twice_are_not_tried_again() -> None:
    once = _reduce_units({}, {"1": 5, "2": 3})
    assert once == {"1": 5, "2": 3}
    assert _reduce_units(once, {"1": 4, "3": 9}) == {"1": 0, "2": 3, "3": 9}
