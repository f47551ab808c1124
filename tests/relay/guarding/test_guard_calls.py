"""Guards of extensions that make a call: whatever they do is a verdict or a failure (P40)."""

import asyncio
from typing import Any

import pytest

from content.detectors.call import PASS, Call, CallFailed, CallSettings, Question, Verdict
from content.detectors.detector import Match
from content.detectors.registry import Guard
from content.guards.rules import GuardRule
from content.policies.guards import KNOWN
from lib.vault import Vault
from relay.guarding.asking import Caller
from relay.guarding.calls import GuardCalls

KEK = "jJ7dgcq4hL0vB2zWbR3nJ8x0f9vHkT7yC1mYpQ5sE2U="
CALLER = Caller("r", "m", "k", "t")


async def ask(monkeypatch: pytest.MonkeyPatch, call: Any, *texts: str, **settings: Any) -> Any:
    one_by_one = settings.pop("one_by_one", False)
    guard = Guard(CallSettings, call=call, one_by_one=one_by_one)
    monkeypatch.setitem(KNOWN, "mine", guard)
    rule = GuardRule("mine", settings, ["request"], "flag", "mine")
    return await GuardCalls(Vault(KEK), ()).ask(CALLER, no_model, rule, "request", texts)


async def no_model(operation: str, body: bytes) -> bytes:
    raise AssertionError(operation)


async def _raises(*_: Any) -> Verdict:
    raise KeyError("a defect")


async def test_the_message_of_a_defect_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(settings: CallSettings, question: Question, reach: Any) -> Verdict:
        raise ValueError(f"cannot read {question.texts[0]}")

    with pytest.raises(CallFailed) as failed:
        await ask(monkeypatch, call, "a private word")
    assert "ValueError" in caplog.text
    assert "private" not in caplog.text + str(failed.value)


async def _waits(*_: Any) -> Verdict:
    await asyncio.Event().wait()
    return PASS


async def _none(*_: Any) -> None:
    return None


async def _fewer(*_: Any) -> Verdict:
    return Verdict("change", ["one"])


async def _more(*_: Any) -> Verdict:
    return Verdict("pass", matches=[[Match(0, 1, "X")]])


@pytest.mark.parametrize(
    ("call", "failure"),
    [(_raises, "answer"), (_waits, "deadline"), (_none, "answer"), (_fewer, "answer"),
     (_more, "answer")],
)  # fmt: skip
async def test_what_an_extension_does_wrong_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, call: Call, failure: str
) -> None:
    with pytest.raises(CallFailed) as failed:
        await ask(monkeypatch, call, "a", "b", deadline_ms=50)
    assert failed.value.failure == failure
    assert await ask(monkeypatch, call, "a", "b", deadline_ms=50, passes_on=[failure]) is None


async def test_texts_are_asked_about_together_or_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []
    under_way = most = 0

    async def call(settings: CallSettings, question: Question, post: Any) -> Verdict:
        nonlocal under_way, most
        asked.append(list(question.texts))
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return PASS

    texts = [str(n) for n in range(20)]
    assert await ask(monkeypatch, call, *texts) == [(tuple(texts), PASS)]
    assert asked == [texts]
    asked.clear()
    answered = await ask(monkeypatch, call, *texts, one_by_one=True)
    assert answered == [([text], PASS) for text in texts]
    assert sorted(asked) == sorted([text] for text in texts)
    assert most == 8
