"""The daily cap of a rule's shadow, which all models of the rule share, before what they cost is
written and after."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

import pytest

from gateway.routing.model_rule_bounds import ModelRule, rule_of
from gateway.routing.shadow_rules import ShadowRule
from relay.attempts import shadow_traffic
from relay.attempts.shadow_traffic import ShadowTraffic
from relay.database.database import Row, Statement
from relay.errors import DatabaseFailed

CAP, COST = 100, 40
RULES: Final = [ModelRule(name, shadow=ShadowRule("s", 100, CAP)) for name in ("gpt-x", "gpt-*")]
RULE_OF: Final = {"gpt-x": "gpt-x", "gpt-y": "gpt-*", "gpt-z": "gpt-*"}


class Process:
    """The shadows of one process."""

    def __init__(self) -> None:
        self.traffic = ShadowTraffic(draw=lambda: 0.0)
        self.snapshot: Any = SimpleNamespace(
            rule_of=lambda model: rule_of(model, RULES),
            shadowed=True,
            channels={"c": SimpleNamespace(name="s")},
        )
        self.written: list[dict[str, Any]] = []

    async def exchange(self, spent: dict[str, int], meanwhile: Sequence[str] = ()) -> None:
        """Write the comparisons and read what rules have spent today; requests of some models end
        between these."""

        async def ask(statement: Statement) -> list[Row]:
            rows: Any = statement[1].get("rows")
            if rows is not None:
                self.written += json.loads(rows)
                return []
            for model in meanwhile:
                assert await self.sends(model)
            return [(rule, str(nano)) for rule, nano in spent.items()]

        await self.traffic.exchange(self.snapshot, ask)

    async def sends(self, model: str) -> bool:
        """Whether a request of a model goes to the shadow too."""
        looked_at = list[str]()
        outcome = SimpleNamespace(
            status=200, meters={}, ttft_ms=1, total_ms=2, finish_reason="stop"
        )
        main: Any = SimpleNamespace(
            outcome=outcome, model=SimpleNamespace(name=model), channel=SimpleNamespace(name="m"),
            cost_nano=1, text="x",
        )  # fmt: skip
        context: Any = SimpleNamespace(snapshot=self.snapshot, request_id=uuid4())
        facts: Any = SimpleNamespace()

        def answer() -> Any:
            looked_at.append(model)
            return main

        self.traffic.follow(context, lambda: facts, model, answer)
        await asyncio.gather(*self.traffic._running)
        return bool(looked_at)


@pytest.fixture(autouse=True)
def shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shadow that answers each request, at a cost."""

    def sending(context: Any, facts: Any, rule_model: str, shadow: Any, main: Any) -> Any:
        candidate = SimpleNamespace(channel_id="c", upstream_model="up")
        return SimpleNamespace(
            context=context, rule_model=rule_model, candidate=candidate, main=main
        )

    async def request(_: Any) -> Any:
        return SimpleNamespace(
            text="y", finish_reason="stop", ttft_ms=1, total_ms=2, output_tokens=3,
            cost_nano=COST, cost_unknown=False, fault="",
        )  # fmt: skip

    monkeypatch.setattr(shadow_traffic, "_sending", sending)
    monkeypatch.setattr(shadow_traffic, "_request_shadow", request)


@pytest.mark.parametrize("model", RULE_OF)
@pytest.mark.parametrize(("spent", "sent"), [(0, True), (99, True), (100, False), (101, False)])
async def test_the_cap_is_about_what_the_rule_has_spent(model: str, spent: int, sent: bool) -> None:
    """It is neither about the model of the request nor about other rules."""
    process, rule = Process(), RULE_OF[model]
    others = dict.fromkeys((*RULE_OF, *RULE_OF.values(), "gpt-*-mini"), 10 * CAP)
    await process.exchange({**others, rule: spent})
    assert await process.sends(model) is sent


async def test_nothing_is_sent_before_it_is_known_what_was_spent() -> None:
    process = Process()
    assert not await process.sends("gpt-x")
    await process.exchange({})
    assert await process.sends("gpt-x")


async def test_nothing_is_sent_while_too_many_costs_wait_for_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them is dropped, because nothing else has their cost."""
    monkeypatch.setattr(shadow_traffic, "_WAITING_MAX", 2)
    process = Process()
    await process.exchange({})

    async def away(statement: Statement) -> list[Row]:
        raise DatabaseFailed("away")

    assert [await process.sends(model) for model in RULE_OF] == [True, True, False]
    with pytest.raises(DatabaseFailed):
        await process.traffic.exchange(process.snapshot, away)
    assert not await process.sends("gpt-x")
    await process.exchange({})
    assert len(process.written) == 2
    assert await process.sends("gpt-x")


async def test_what_is_not_written_yet_counts_for_its_rule() -> None:
    process = Process()
    await process.exchange({})
    asked = ("gpt-y", "gpt-z", "gpt-x", "gpt-y", "gpt-z", "gpt-y", "gpt-x")
    sent = [await process.sends(model) for model in asked]
    assert sent == [True, True, True, True, False, False, True]
    await process.exchange({"gpt-*": 3 * COST, "gpt-x": 2 * COST})
    assert [row["rule"] for row in process.written] == [
        "gpt-*", "gpt-*", "gpt-x", "gpt-*", "gpt-x",
    ]  # fmt: skip
    assert [await process.sends(model) for model in RULE_OF] == [True, False, False]


async def test_what_ends_while_the_job_reads_counts_too() -> None:
    process = Process()
    await process.exchange({})
    await process.exchange({"gpt-*": COST}, meanwhile=["gpt-y"])
    assert [await process.sends(model) for model in ("gpt-z", "gpt-z")] == [True, False]
