"""What guards tell of themselves, to services, to records and to operators; and what of an answer
they keep back beside its text."""

import base64
import json
from collections import Counter
from typing import Any, cast

import msgspec
import pytest

from content.detectors.call import PASS, CallFailed, CallSettings, Question, Verdict
from content.detectors.registry import Guard
from content.guards.rules import GuardRule
from content.policies.guards import KNOWN
from content.policies.rules import secret_place
from dialects.chat.events import (
    Broken,
    Citation,
    Event,
    Finish,
    LogprobsDelta,
    Source,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    UpstreamError,
)
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from lib.network.egress import EgressDenied, EgressFailed, TooLarge
from lib.vault import Vault
from relay.guarding import calls, guarding, operations
from relay.guarding.asking import Caller, PassedUnchecked
from relay.guarding.calls import GuardCalls
from relay.guarding.guarded_answer import GuardedAnswer
from relay.guarding.guarding import Guarding
from relay.guarding.rule_set import KeyRules
from tests.relay.guarding.test_guard_calls import KEK, no_model

CALLER = Caller("request-1", "model-1", "key-1", "team-1")
ADDRESS = "alice.liddell@example.com"


def email(action: Any, *places: Any) -> GuardRule:
    return GuardRule("email", {}, list(places), action, "own")


def calling(policy: str = "policy-1", action: Any = "flag", **settings: Any) -> GuardRule:
    return GuardRule("mine", settings, ["request"], action, "own", policy)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """The questions to a guard that lets everything pass."""
    questions: list[Question] = []

    async def call(settings: CallSettings, question: Question, reach: Any) -> Verdict:
        questions.append(question)
        return PASS

    monkeypatch.setitem(KNOWN, "mine", Guard(CallSettings, call=call, texts_max=0))
    return questions


# ---- services


async def test_service_learns_whose_texts_it_is_asked_about(asked: list[Question]) -> None:
    answered = await GuardCalls(Vault(KEK), ()).ask(
        CALLER, no_model, calling(), "tool_result", ["a", "b"]
    )
    assert answered == [(["a", "b"], PASS)]
    (question,) = asked
    assert question._replace(id="", asked_at=0) == Question(
        "", 0, "request-1", "tool_result", ["a", "b"], "model-1", "key-1", "team-1"
    )
    assert question.id


async def test_secret_of_a_guard_that_was_changed_is_used_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each policy has its own, and opens no other's."""
    vault, secrets = Vault(KEK), list[str]()

    class Settings(CallSettings):
        secret: str = ""

    async def call(settings: Any, question: Question, reach: Any) -> Verdict:
        secrets.append(settings.secret)
        return PASS

    monkeypatch.setattr(calls, "read_settings", lambda _, settings: Settings(**settings))
    monkeypatch.setitem(KNOWN, "mine", Guard(Settings, call=call, texts_max=0))
    guards = GuardCalls(vault, ())

    def with_secret(secret: str, policy: str = "policy-1", place: str = "") -> GuardRule:
        sealed = vault.seal(secret, secret_place(place or policy, "mine"))
        rule = calling(policy)
        return msgspec.structs.replace(rule, sealed=base64.b64encode(sealed).decode())

    for rule in (with_secret("one"), with_secret("two"), with_secret("three", "policy-2")):
        for _ in range(2):
            await guards.ask(CALLER, no_model, rule, "request", ["a"])
    assert secrets == ["one", "one", "two", "two", "three", "three"]
    foreign = with_secret("one", "policy-2", place="policy-1")
    with pytest.raises(CallFailed):
        await guards.ask(CALLER, no_model, foreign, "request", ["a"])


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (EgressFailed("timeout", "late"), "deadline"),
        (EgressFailed("refused", "no"), "connection"),
        (EgressDenied("inside"), "connection"),
        (TooLarge("large"), "answer"),
    ],
)
async def test_failure_is_of_the_class_that_a_policy_names(
    monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    async def post(*_: Any, **__: Any) -> bytes:
        raise error

    async def call(settings: CallSettings, question: Question, reach: Any) -> Verdict:
        await reach.post("https://guard.example", {}, b"")
        return PASS

    monkeypatch.setattr(calls, "post_to_named", post)
    monkeypatch.setattr(calls, "guarded_async_client", lambda *_, **__: object())
    monkeypatch.setitem(KNOWN, "mine", Guard(CallSettings, call=call, texts_max=0))
    guards = GuardCalls(Vault(KEK), ())
    with pytest.raises(CallFailed) as failed:
        await guards.ask(CALLER, no_model, calling(), "request", ["a"])
    assert failed.value.failure == failure
    # What passes unchecked is reported once, by its policy, its guard and its class; what could
    # not be reported comes again.
    passing = calling(passes_on=[failure])
    for _ in range(2):
        assert await guards.ask(CALLER, no_model, passing, "request", ["a"]) is None
    passed = guards.take_passed()
    assert passed == Counter({PassedUnchecked("policy-1", "mine", cast(Any, failure)): 2})
    assert not guards.take_passed()
    await guards.ask(CALLER, no_model, passing, "request", ["a"])
    guards.put_back(passed)
    assert guards.take_passed().total() == 3


# ---- records


async def test_record_has_milliseconds_and_requests_of_each_guard(
    monkeypatch: pytest.MonkeyPatch, asked: list[Question]
) -> None:
    times = iter((0.0, 0.012, 1.0, 1.25, 2.0, 2.5, 9.0))
    monkeypatch.setattr("relay.guarding.guarding.time.perf_counter", lambda: next(times))
    requests = ["other prompt's"]

    async def ask(rule: GuardRule, place: Any, texts: Any) -> Any:
        requests.append(f"r{len(requests)}")
        return [(texts, PASS)]

    checked = Guarding(KeyRules([email("flag", "request"), calling()]), ask, requests)
    body = read_body(json.dumps({"messages": [{"content": "hi"}]}).encode())
    for _ in range(2):
        await checked.ask(checked.check_request(body) if _ == 0 else body.raw, guarding._check_raw)
    assert [flag for flag in checked.flags if flag.startswith(("guard_ms", "guard_request"))] == [
        "guard_ms::12", "guard_ms:mine:750", "guard_request:r1", "guard_request:r2",
    ]  # fmt: skip


# ---- answers


def sent(rules: list[GuardRule], *events: Event) -> list[Event]:
    return GuardedAnswer(Guarding(KeyRules(rules))).change(events)[0]


def texts_of(events: list[Event], choice: int = 0) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.choice == choice)


@pytest.mark.parametrize("place", ["answer", "tool_call"])
def test_likelihoods_are_left_out_of_a_checked_text(place: Any) -> None:
    """They repeat it."""
    likely = LogprobsDelta(0, (TokenLogprob(ADDRESS, -1.0, (), ()),))
    events = sent([email("mask", place)], TextDelta(0, "a "), likely, Finish(0, "stop"))
    assert (likely in events) == (place == "tool_call")


def test_sources_of_an_answer_are_checked_in_all_their_texts() -> None:
    source = Source(f"https://a.example/?m={ADDRESS}", f"From {ADDRESS}", quote=f"{ADDRESS} said")
    (citation,) = sent([email("mask", "answer")], Citation(0, source))
    assert isinstance(citation, Citation)
    shown = citation.source
    assert "<EMAIL_1>" in shown.url
    assert (shown.title, shown.quote) == ("From <EMAIL_1>", "<EMAIL_1> said")


@pytest.mark.parametrize(
    "last", [Broken("F14"), UpstreamError("upstream_error", "no", None)], ids=["broken", "error"]
)
def test_half_of_a_match_never_leaves_with_a_broken_answer(last: Event) -> None:
    guarded = GuardedAnswer(Guarding(KeyRules([email("mask", "answer")])))
    events = guarded.change([TextDelta(0, f"Write to {ADDRESS[:-2]}")])[0]
    events += guarded.change([last])[0]
    guarded.close()
    events += guarded.change([])[0]
    assert "alice" not in texts_of(events)
    assert events[-1] == last


def test_calls_of_one_choice_do_not_end_with_another() -> None:
    guarded = GuardedAnswer(Guarding(KeyRules([email("mask", "tool_call")])))
    half = [
        ToolCallStart(0, 0, "a", "f"), ToolArgumentsDelta(0, 0, '{"to":"'),
        ToolCallStart(1, 0, "b", "f"), ToolArgumentsDelta(1, 0, '{"x":1}'), Finish(1, "tool_calls"),
    ]  # fmt: skip
    events = guarded.change(half)[0]
    assert [(e.choice, e.text) for e in events if isinstance(e, ToolArgumentsDelta)] == [
        (1, '{"x":1}')
    ]
    rest = [ToolArgumentsDelta(0, 0, f'{ADDRESS}"}}'), ToolCallEnd(0, 0)]
    events = guarded.change(rest)[0]
    assert [e.text for e in events if isinstance(e, ToolArgumentsDelta)] == ['{"to":"<EMAIL_1>"}']


# ---- what guards cannot read


class Facts:
    def __init__(self, audio: bool = False, **members: Any) -> None:
        self.body = read_body(json.dumps(members).encode())
        self.audio_output = audio


@pytest.mark.parametrize(
    ("operation", "facts", "passes"),
    [
        ("completions", Facts(prompt=[1, 2]), False),
        ("completions", Facts(prompt=[[1, 2]]), False),
        ("completions", Facts(prompt=["a", "b"]), True),
        ("completions", Facts(prompt="a"), True),
        ("embeddings", Facts(input=[1, 2]), False),
        ("embeddings", Facts(input=["a"]), True),
        ("chat_completions", Facts(prompt=[1, 2], input=[1]), True),
    ],
)
def test_ids_of_tokens_are_no_texts_that_a_guard_reads(
    operation: str, facts: Any, passes: bool
) -> None:
    checked = Guarding(KeyRules([email("mask", "request")]))
    if passes:
        operations.check_operation(checked, operation, facts, is_chat=True)
        return
    with pytest.raises(RequestFault) as refused:
        operations.check_operation(checked, operation, facts, is_chat=True)
    assert refused.value.kind == "permission"


@pytest.mark.parametrize(
    ("operation", "audio", "is_chat", "passes"),
    [
        ("chat_completions", False, True, True),
        ("chat_completions", True, True, False),
        ("completions", False, True, False),
        ("embeddings", False, False, True),
        ("transcriptions", False, False, False),
        ("rerank", False, False, False),
        ("image_generations", False, False, False),
    ],
)
def test_answers_that_no_guard_reads_are_refused_to_a_key_with_a_rule_about_answers(
    operation: str, audio: bool, is_chat: bool, passes: bool
) -> None:
    facts: Any = Facts(audio, input="a")
    about_requests = Guarding(KeyRules([email("mask", "request")]))
    operations.check_operation(about_requests, operation, facts, is_chat=is_chat)
    about_answers = Guarding(KeyRules([email("mask", "answer")]))
    if passes:
        operations.check_operation(about_answers, operation, facts, is_chat=is_chat)
        return
    with pytest.raises(RequestFault):
        operations.check_operation(about_answers, operation, facts, is_chat=is_chat)
