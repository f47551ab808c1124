"""The record of a request that no provider answered has what every record has."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import message_of
from relay.context.context import PromptUse, context_of_task
from relay.context.recorded_errors import kept_message
from relay.context.records import record_answer, record_refusal, uncharged_outcome
from relay.downstream.downstream import ErrorAnswer
from relay.requests.invocation import MODEL_LENGTH_MAX
from relay.requests.labels import Attribution
from relay.requests.sessions import Session
from usage.records.sql import Refusal

ERROR = ErrorAnswer("insufficient_balance", 402, "No money", budget_id=11)
SESSION = Session(UUID(int=9), "task 1", "x-weir-session", agent="explorer")


class Ledger:
    def __init__(self) -> None:
        self.settled: list[Refusal] = []

    def settle(self, item: Refusal) -> None:
        self.settled.append(item)


def context(ledger: Ledger, **over: Any) -> Any:
    labels = Attribution("search", '["beta"]', "c-42", "codex")
    principal = SimpleNamespace(
        organisation_id=UUID(int=1), team_id=UUID(int=2), key_id=UUID(int=3), user_id=4,
        retention_hours=24, attribution=lambda labels_, app: labels,
    )  # fmt: skip
    known = {
        "parts": SimpleNamespace(ledger=ledger), "principal": principal, "session": SESSION,
        "prompt": PromptUse("bot", 3), "source": "playground", "request_id": UUID(int=5),
        "elapsed_ms": lambda: 12, "guarding": SimpleNamespace(flags=("guard:own",)),
        "invocation": SimpleNamespace(codec=CODECS["anthropic"], operation="messages"),
        "options": SimpleNamespace(
            labels=None, client_app="codex", end_user="ann@example.com", address="203.0.113.9",
            flags=("end_user_verified",),
        ),
    }  # fmt: skip
    return SimpleNamespace(**known | over)


def recorded(refusal: Refusal) -> dict[str, Any]:
    """What every such record has of its request."""
    return {
        name: getattr(refusal, name)
        for name in ("organisation_id", "request_id", "team_id", "key_id", "user_id", "dialect",
                     "source", "project", "tags", "customer", "client_app", "end_user",
                     "session_id", "prompt", "prompt_version")
    }  # fmt: skip


WHOLE = {
    "organisation_id": UUID(int=1), "request_id": UUID(int=5), "team_id": UUID(int=2),
    "key_id": UUID(int=3), "user_id": 4, "dialect": "anthropic", "source": "playground",
    "project": "search", "tags": '["beta"]', "customer": "c-42", "client_app": "codex",
    "end_user": "ann@example.com", "session_id": UUID(int=9), "prompt": "bot", "prompt_version": 3,
}  # fmt: skip


def test_refused_request_is_on_record_with_whose_it_was_and_why() -> None:
    ledger = Ledger()
    outcome = record_refusal(
        context(ledger), ERROR, "m" * 300, stream=True, window_id=8, after_attempts=True
    )
    assert (outcome.status, outcome.budget_id, outcome.charge_nano, outcome.basis) == (
        402, 11, 0, "none",
    )  # fmt: skip
    (refusal,) = ledger.settled
    assert recorded(refusal) == WHOLE
    assert (refusal.window_id, refusal.after_attempts, refusal.stream) == (8, True, True)
    assert (refusal.model, refusal.operation) == ("m" * MODEL_LENGTH_MAX, "messages")
    assert json.loads(refusal.session or "") == {
        "name": "task 1", "source": "x-weir-session", "agent": "explorer",
    }  # fmt: skip
    ending = refusal.ending
    assert (ending.final, ending.status, ending.kind) == (True, 402, "insufficient_balance")
    assert (ending.address, ending.total_ms) == ("203.0.113.9", 12)
    assert ending.flags == ("end_user_verified", "guard:own")
    ledger = Ledger()
    record_refusal(
        context(ledger, guarding=None, session=None, prompt=None), ERROR, "", stream=False
    )
    (plain,) = ledger.settled
    assert plain.ending.flags == ("end_user_verified",)
    assert (plain.session, plain.session_id, plain.prompt, plain.prompt_version) == (None,) * 4


def test_answer_without_a_provider_is_on_record_likewise() -> None:
    ledger = Ledger()
    record_answer(context(ledger), "m", "count")
    (answer,) = ledger.settled
    assert recorded(answer) == WHOLE
    assert (answer.operation, answer.stream, answer.window_id) == ("count", False, None)
    ending = answer.ending
    assert (ending.final, ending.status, ending.kind, ending.charge_nano) == (True, 200, None, 0)
    assert (ending.address, ending.flags) == ("203.0.113.9", ("end_user_verified",))


def test_outcome_without_a_charge_has_the_basis_that_is_given() -> None:
    outcome = uncharged_outcome(context(Ledger()), ERROR, basis="free")
    assert (outcome.basis, outcome.meters, outcome.is_charged) == ("free", {}, False)
    assert msgspec.structs.replace(outcome, own_nano=1).is_charged


@pytest.mark.parametrize("hours", [0, 24])
def test_record_keeps_no_sentence_of_a_request_that_a_provider_quotes(hours: int) -> None:
    """P31. Where nothing may be kept, not even the provider's own words are."""
    principal = cast(Any, SimpleNamespace(retention_hours=hours))
    quoting = 'Invalid value: "my private question is about a tumour, what should I do". See docs.'
    result = kept_message(principal, "provider_rejected", quoting)
    assert "tumour" not in result
    assert (result == message_of("provider_rejected")) == (hours == 0)
    assert kept_message(principal, None, "plain words") == "plain words"
    assert kept_message(principal, "provider_rejected", "") == ""


@pytest.mark.parametrize("began", [None, 5.0])
async def test_context_of_a_task_has_what_its_caller_gives(began: float | None) -> None:
    loop = asyncio.get_running_loop()
    given: dict[str, Any] = {
        "request_id": UUID(int=5), "source": "playground", "response_id": "resp_1",
        "options": SimpleNamespace(session=None),
    }  # fmt: skip
    parts: Any = SimpleNamespace(loop=loop)
    values: Any = ("snapshot", "principal", "sink", "invocation")
    before = loop.time()
    made: Any = context_of_task(parts, *values, **given, began=began)
    assert {name: getattr(made, name) for name in given} == given
    assert made.downstream.sink == "sink"
    assert made.began == 5.0 if began is not None else before <= made.began <= loop.time()
