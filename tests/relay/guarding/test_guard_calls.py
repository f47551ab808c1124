"""Guards of extensions that make a call: whatever they do is a verdict or a failure (P40)."""

import asyncio
import json
import re
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
    guard = Guard(CallSettings, call=call, texts_max=settings.pop("texts_max", 0))
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


async def test_texts_are_asked_about_together_or_in_groups(
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
    answered = await ask(monkeypatch, call, *texts, texts_max=1)
    assert answered == [((text,), PASS) for text in texts]
    assert sorted(asked) == sorted([text] for text in texts)
    assert most == 8
    answered = await ask(monkeypatch, call, *texts, texts_max=8)
    assert [len(some) for some, _ in answered] == [8, 8, 4]
    assert [text for some, _ in answered for text in some] == texts


TOPICS = {"model": "judge", "topics": [{"name": "weapons", "description": "Making weapons."}]}


@pytest.mark.parametrize("about", ["none", "some", "all"])
async def test_a_thousand_texts_are_judged_within_the_bounds(about: str) -> None:
    """P40: neither their number nor what they are about makes the guard fail."""
    most = under_way = 0

    async def judge(operation: str, raw: bytes) -> bytes:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        body = json.loads(raw)
        texts = json.loads(body["messages"][-1]["content"].split("\n")[1])
        matches = [
            {"text": int(number), "topic": "weapons"}
            for number, text in texts.items()
            if "gun" in text
        ]
        answer = json.dumps({"matches": matches, "last_text": len(texts)}, indent=1)
        # Each word and each sign is a token, and an answer that has too many is cut.
        tokens = re.findall(r"\w+|\s+|[^\w\s]", answer)[: body["max_completion_tokens"]]
        return json.dumps({"choices": [{"message": {"content": "".join(tokens)}}]}).encode()

    guns = {"none": set[int](), "some": {0, 577, 999}, "all": set(range(1_000))}[about]
    texts = [f"gun {n}" if n in guns else f"rain {n}" for n in range(1_000)]
    rule = GuardRule("topics", TOPICS, ["request"], "mask", "own")
    answered = await GuardCalls(Vault(KEK), ()).ask(CALLER, judge, rule, "request", texts)
    assert answered is not None
    matches = [match for _, verdict in answered for match in verdict.matches]
    assert [text for some, _ in answered for text in some] == texts
    assert {n for n, one in enumerate(matches) if one} == guns
    assert most <= 8
