"""What is booked at the end of an attempt: who is charged, by which rule, and what the installation
loses (the fault table, "Life of an attempt"; I13, I15)."""

from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest

from billing.limits.charge_rule import ChargeRule
from billing.prices.pricing import PriceVersion
from lib.ids import new_id
from relay.answers.attempt_end import AttemptEnd, dropped_text, final_end
from relay.downstream.error_answers import INTERNAL
from relay.ledger.settlement import Settlement
from relay.metering.usage_meter import Bill
from relay.upstream.failures import upstream_failure
from usage.records.sql import DROPPED_LENGTH

# What the input of an attempt has cost by its size.
UNKNOWN_NANO: Final = 9
VERSION: Final = PriceVersion.from_stored({"meters": {"in_text": 1_000_000, "out_text": 3_000_000}})
MEASURED: Final = Bill({"out_text": 10}, 30, "measured", (), None)
ABSORB: Final = ChargeRule("absorb")
DRAIN: Final = ChargeRule("drain")
PLAIN: Final = ChargeRule("measured")


class One:
    """An attempt that has been sent, and what it leaves in the ledger."""

    def __init__(
        self, *, own: bool = False, gone: bool = False, complete: bool = False,
        organisation: ChargeRule | None = None, model: ChargeRule | None = None,
        drains: bool = False, price: bool = True,
    ) -> None:  # fmt: skip
        self.settled: list[Settlement] = []
        principal = SimpleNamespace(
            organisation_id=new_id(), limited=False, charge_rule=organisation, retention_hours=24
        )
        context: Any = SimpleNamespace(
            request_id=new_id(), elapsed_ms=lambda: 5,
            options=SimpleNamespace(address="", flags=()),
            downstream=SimpleNamespace(client_gone=gone), guarding=None,
            snapshot=SimpleNamespace(rule_of=lambda _: SimpleNamespace(charge_rule=model)),
            parts=SimpleNamespace(
                ledger=SimpleNamespace(settle=lambda one, at_once: self.settled.append(one)),
                config=SimpleNamespace(leave_drain_s=30),
            ),
        )  # fmt: skip
        admitted: Any = SimpleNamespace(
            hold=SimpleNamespace(
                attempt_id=new_id(), principal=principal, own="own" if own else None, units={},
                wallet_nano=100, settles_at_once=False,
            ),
            channel=SimpleNamespace(
                limits=None, drain=drains, provider=SimpleNamespace(name="openai")
            ),
            facts=SimpleNamespace(stream=False, model="m"), prepared=SimpleNamespace(dropped=()),
        )  # fmt: skip
        meter: Any = SimpleNamespace(
            unknown_nano=lambda: UNKNOWN_NANO, complete=complete, finish_reason="stop",
            cost_nano=lambda _: None, bill_stream=lambda _: MEASURED, text_bytes=40,
            prices=SimpleNamespace(
                price=SimpleNamespace(id=3, version=VERSION) if price else None, cost=None
            ),
        )  # fmt: skip
        self.end = AttemptEnd(context, admitted, meter)


@pytest.mark.parametrize(
    ("bill", "own", "loss_nano"),
    [
        # Nothing was counted of what was sent: its input has cost something.
        (Bill({}, 0, "absorbed", (), None), False, UNKNOWN_NANO),
        (Bill({"in_text": 4}, 0, "absorbed", (), None, 4), False, 4),
        # The organisation has paid its own provider.
        (Bill({}, 0, "absorbed", (), None, own_nano=0), True, 0),
        # Nothing was sent.
        (Bill({}, 0, "none", (), None), False, 0),
        (MEASURED, False, 0),
        (Bill({"out_text": 40}, 100, "measured", (), None, 20), False, 20),
    ],
)
def test_uncharged_cost_is_the_installations_loss(bill: Bill, own: bool, loss_nano: int) -> None:
    """I15."""
    one = One(own=own)
    one.end.settle(None, bill)
    (settlement,) = one.settled
    assert (settlement.loss_nano, settlement.ending.charge_nano) == (loss_nano, bill.charge_nano)


@pytest.mark.parametrize(
    ("fault", "own", "basis", "loss_nano"),
    [
        # Refused, or never sent.
        ("F1", False, "none", 0),
        ("F8", False, "none", 0),
        # The provider may have worked.
        ("F10", False, "absorbed", UNKNOWN_NANO),
        ("F12", False, "absorbed", UNKNOWN_NANO),
        ("F14", False, "absorbed", UNKNOWN_NANO),
        ("F1", True, "none", 0),
        ("F10", True, "none", 0),
    ],
)
def test_failed_attempts_cost_is_the_installations_loss(
    fault: str, own: bool, basis: str, loss_nano: int
) -> None:
    """I15: unless its organisation pays the provider itself."""
    settlement = One(own=own).end.failed(upstream_failure(fault), final=False)
    assert (settlement.ending.basis, settlement.loss_nano) == (basis, loss_nano)
    assert settlement.ending.charge_nano == 0
    assert settlement.ending.own_nano == (0 if own else None)


@pytest.mark.parametrize(
    ("state", "left", "whole", "basis", "flags"),
    [
        # An answer that failed; its rule is named where it changes something.
        ({}, False, False, "measured", ()),
        ({"organisation": PLAIN}, False, False, "measured", ()),
        ({"organisation": DRAIN}, False, False, "measured", ()),
        ({"organisation": ABSORB}, False, False, "absorbed", ("absorb_by_organisation",)),
        ({"model": ABSORB}, False, False, "absorbed", ("absorb_by_model",)),
        ({"organisation": PLAIN, "model": ABSORB}, False, False, "measured", ()),
        # One that its client left.
        ({}, True, False, "measured", ()),
        ({"drains": True}, True, True, "measured", ()),
        ({"organisation": PLAIN}, True, False, "measured", ("measured_by_organisation",)),
        ({"organisation": DRAIN}, True, False, "measured", ("drain_by_organisation",)),
        ({"model": DRAIN}, True, True, "measured", ("drain_by_model",)),
        ({"model": ABSORB}, True, False, "absorbed", ("absorb_by_model",)),
        # All of it was there before.
        ({"organisation": PLAIN}, True, True, "measured", ()),
        ({"organisation": ABSORB}, True, True, "measured", ()),
        ({"organisation": ABSORB, "complete": True}, True, False, "measured", ()),
    ],
)
def test_charge_rule_decides_about_incomplete_answers(
    state: dict[str, Any], left: bool, whole: bool, basis: str, flags: tuple[str, ...]
) -> None:
    """P6: what is charged and what is lost are together what was counted."""
    one = One(gone=left, **state)
    if left:
        one.end.abandon()
    one.end.settle(None if whole else INTERNAL, MEASURED)
    (settlement,) = one.settled
    assert (settlement.ending.basis, settlement.ending.flags) == (basis, flags)
    assert settlement.ending.charge_nano == (0 if basis == "absorbed" else 30)
    assert settlement.ending.charge_nano + settlement.loss_nano == 30


@pytest.mark.parametrize("price", [True, False])
def test_a_record_names_the_price_that_it_was_charged_by(price: bool) -> None:
    one = One(price=price)
    one.end.settle(None, MEASURED if price else Bill({"out_text": 10}, 0, "free", (), None))
    (settlement,) = one.settled
    assert settlement.ending.price_version_id == (3 if price else None)


@pytest.mark.parametrize("own", [False, True])
def test_an_abandoned_answer_is_read_up_to_its_limit(own: bool) -> None:
    """The installation pays 30 nano, for 10 more tokens of 4 bytes; of an own key nothing."""
    end = One(own=own).end
    assert not end.is_drained_out(10**9)
    end.limit_drain(30)
    assert [end.is_drained_out(text_bytes) for text_bytes in (80, 81)] == [False, not own]


@pytest.mark.parametrize("error", [None, INTERNAL])
def test_outcome_has_the_figures_of_its_bill_also_after_an_error(error: Any) -> None:
    one = One()
    outcome = one.end.settle(error, MEASURED)
    (settled,) = one.settled
    assert (outcome.status, settled.ending.status) == ((200, 200) if error is None else (500, 500))
    for said in (outcome, settled.ending):
        assert (said.basis, said.charge_nano) == ("measured", 30)
    assert outcome.meters == {"out_text": 10}
    assert (outcome.hold_nano, outcome.own_nano) == (100, 0)


def recorded(*, stream: bool = True, limits: bool = True, **state: Any) -> One:
    """An attempt whose context, channel and hold have something in each field of a record."""
    one = One(**state)
    context, admitted, meter = one.end._context, one.end._admitted, one.end._usage_meter
    fields: list[tuple[Any, dict[str, Any]]] = [
        (context, {"options": SimpleNamespace(address="10.0.0.1", flags=("end_user",)),
                   "guarding": SimpleNamespace(flags=("masked",))}),
        (context.parts.ledger, {"marks": SimpleNamespace(unwatch=one.settled.append)}),
        (admitted.channel, {"limits": limits or None, "uuid": "channel", "name": "c"}),
        (admitted.facts, {"stream": stream}),
        (admitted.prepared, {"dropped": ("seed", "user")}),
        (meter, {"cost_nano": lambda bill: 12}),
        (meter.prices, {"cost": SimpleNamespace(id=8)}),
    ]  # fmt: skip
    for holder, values in fields:
        vars(holder).update(values)
    one.end.upstream_request_id, one.end.ttft_ms = "up_1", 2
    return one


RECORD: Final = {
    "final": True, "status": 200, "kind": None, "message": "", "finish_reason": "stop",
    "meters": '{"in_text":4,"out_text":10}', "charge_nano": 30, "basis": "measured", "ttft_ms": 2,
    "total_ms": 5, "raw_usage": "{}", "flags": ("quarantine", "F18", "end_user", "masked"),
    "cost_nano": 12, "price_version_id": 3, "cost_version_id": 8, "upstream_request_id": "up_1",
    "dropped": "seed,user", "address": "10.0.0.1", "saved_nano": 0, "own_nano": None,
}  # fmt: skip
COUNTED: Final = Bill({"in_text": 4, "out_text": 10}, 30, "measured", ("quarantine",), "{}", 7)


@pytest.mark.parametrize("stream", [False, True])
def test_record_has_each_field_of_the_attempt(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    one = recorded(stream=stream)
    one.end.settle(None, COUNTED, "F18")
    settlement: Any = one.settled[-1]
    unwatched: list[Any] = one.settled[:-1]
    assert unwatched == ([one.end._usage_meter] if stream else [])
    ending = msgspec.structs.asdict(settlement.ending)
    assert {name: ending[name] for name in RECORD} == RECORD
    hold = one.end._admitted.hold
    assert (settlement.organisation_id, settlement.attempt_id) == (
        hold.principal.organisation_id, hold.attempt_id,
    )  # fmt: skip
    assert (settlement.tokens, settlement.limited_channel_id) == (14, "channel")
    assert (settlement.loss_nano, settlement.included_nano, settlement.units) == (7, 0, ())
    assert "under review" in caplog.text
    # It is settled once.
    one.end.settle(INTERNAL, MEASURED)
    assert len(one.settled) == 1 + stream
    own = recorded(own=True)
    own.end.settle(None, msgspec.structs.replace(COUNTED, own_nano=9))
    assert (own.settled[1].ending.cost_nano, own.settled[1].ending.own_nano) == (0, 9)


@pytest.mark.parametrize(
    ("limits", "limited", "tokens"), [(False, False, 0), (False, True, 14), (True, False, 14)]
)
def test_tokens_count_where_a_key_or_a_channel_has_a_limit(
    limits: bool, limited: bool, tokens: int
) -> None:
    one = recorded(limits=limits)
    vars(one.end._admitted.hold.principal)["limited"] = limited
    one.end.settle(None, COUNTED)
    settlement: Any = one.settled[1]
    assert settlement.tokens == tokens
    assert settlement.limited_channel_id == ("channel" if limits else None)


@pytest.mark.parametrize("failure_id", ["", "up_2"])
def test_record_of_a_failed_attempt_has_each_of_its_fields(failure_id: str) -> None:
    one = recorded()
    failure = upstream_failure("F10")
    failure.request_id = failure_id
    settlement: Any = one.end.failed(failure, final=False)
    ending = msgspec.structs.asdict(settlement.ending)
    wanted = {
        "final": False, "status": failure.status, "kind": failure.kind, "message": failure.message,
        "meters": "{}", "charge_nano": 0, "raw_usage": None, "total_ms": 5, "cost_nano": None,
        "flags": ("F10", "end_user"), "upstream_request_id": failure_id or "up_1",
        "dropped": "seed,user", "address": "10.0.0.1",
    }  # fmt: skip
    assert {name: ending[name] for name in wanted} == wanted
    hold = one.end._admitted.hold
    assert (settlement.organisation_id, settlement.attempt_id, settlement.limited_channel_id) == (
        hold.principal.organisation_id, hold.attempt_id, "channel",
    )  # fmt: skip
    last = final_end(settlement, INTERNAL, hold.principal).ending
    assert (last.final, last.status, last.kind) == (True, 500, "internal")
    assert (last.message, last.flags) == (INTERNAL.message, ("F10", "end_user"))


@pytest.mark.parametrize("own", [False, True])
def test_failure_that_its_provider_counted_is_owed_to_it(own: bool) -> None:
    """I15: what was counted is lost in full, also what exceeds the hold."""
    for fault, loss_nano in (("F23", 37), ("F24", 37), ("F10", UNKNOWN_NANO)):
        one = recorded(own=own)
        vars(one.end._usage_meter)["owed"] = lambda: COUNTED
        settlement = one.end.failed(upstream_failure(fault), final=True)
        ending = settlement.ending
        counted = not own and fault != "F10"
        assert settlement.loss_nano == (0 if own else loss_nano)
        assert ending.meters == (RECORD["meters"] if counted else "{}")
        assert ending.raw_usage == ("{}" if counted else None)
        assert ending.cost_nano == (0 if own else 12 if counted else None)
        assert (ending.basis, ending.final) == ("none" if own else "absorbed", True)


def test_replaced_hold_ends_without_an_end_of_its_request() -> None:
    one = recorded()
    settlement: Any = one.end.replaced()
    ending, hold = settlement.ending, one.end._admitted.hold
    assert (ending.final, ending.basis, ending.flags) == (
        False, "none", ("hold_replaced", "end_user", "masked"),
    )  # fmt: skip
    assert (settlement.organisation_id, settlement.attempt_id, settlement.limited_channel_id) == (
        hold.principal.organisation_id, hold.attempt_id, "channel",
    )  # fmt: skip
    assert (settlement.included_nano, ending.charge_nano) == (0, 0)


def test_omitted_parameters_are_listed_up_to_a_length() -> None:
    assert dropped_text(()) is None
    assert dropped_text(("a", "b")) == "a,b"
    assert dropped_text(["x" * 30_000]) == "x" * DROPPED_LENGTH
