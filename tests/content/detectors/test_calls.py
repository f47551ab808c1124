"""Guards that ask a service or a model: what they send, and which answers are one."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from content.detectors.call import CallFailed, Question, Verdict
from content.detectors.hook import call_hook
from content.detectors.moderation import call_moderation
from content.detectors.presidio import call_presidio, read_findings
from content.detectors.registry import read_settings
from notify.endpoints.signing import signature_headers

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
QUESTION = Question("call-1", 1_770_000_000, "request-1", "answer", ("ab", "Ünï"), "m", "k", "t")


class Asked:
    """Answers one call, and keeps what was sent."""

    def __init__(self, answer: Any) -> None:
        self.answer = json.dumps(answer).encode()
        self.to = ""
        self.headers: Mapping[str, str] = {}
        self.body = b""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        self.to, self.headers, self.body = url, headers, body
        return self.answer

    async def ask_model(self, operation: str, body: bytes) -> bytes:
        self.to, self.body = operation, body
        return self.answer


# An own service -----------------------------------------------------------------------------------


async def ask_hook(answer: Any) -> Verdict:
    settings = read_settings("hook", {"url": "https://h.example/check", "secret": SECRET})
    verdict = await call_hook(settings, QUESTION, Asked(answer))
    return verdict


async def test_hook_is_told_the_request_and_signed_for_its_call() -> None:
    asked = Asked({"action": "pass"})
    settings = read_settings("hook", {"url": "https://h.example/check", "secret": SECRET})
    await call_hook(settings, QUESTION, asked)
    assert asked.to == "https://h.example/check"
    assert json.loads(asked.body) == {
        "request_id": "request-1", "place": "answer", "texts": ["ab", "Ünï"], "model": "m",
        "key": "k", "team": "t",
    }  # fmt: skip
    signed = signature_headers([SECRET], "call-1", 1_770_000_000, asked.body)
    assert asked.headers == signed | {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"action": "pass"}, Verdict("pass")),
        ({"action": "change", "texts": ["x", "y"]}, Verdict("change", ["x", "y"])),
        ({"action": "refuse"}, Verdict("refuse")),
        ({"action": "refuse", "code": "legal_1"}, Verdict("refuse", code="legal_1")),
        ({"action": "flag", "code": "legal"}, Verdict("flag", code="legal")),
    ],
)
async def test_answer_of_a_hook(answer: Any, verdict: Verdict) -> None:
    assert await ask_hook(answer) == verdict


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"action": "allow"},
        {"action": "pass", "note": "x"},
        {"action": "pass", "texts": ["x", "y"]},
        {"action": "change"},
        {"action": "change", "texts": ["x"]},
        {"action": "change", "texts": ["x", "y", "z"]},
        {"action": "pass", "code": "legal"},
        {"action": "change", "texts": ["x", "y"], "code": "legal"},
        {"action": "refuse", "code": "Legal"},
        {"action": "refuse", "code": "a" * 41},
    ],
)
async def test_any_other_answer_of_a_hook_is_a_failure(answer: Any) -> None:
    """P40: nothing passes by it."""
    with pytest.raises(CallFailed) as failed:
        await ask_hook(answer)
    assert failed.value.failure == "answer"


@pytest.mark.parametrize(
    ("secret", "valid"),
    [
        (SECRET, True),
        ("whsec_" + base64.b64encode(b"s" * 24).decode(), True),
        ("whsec_" + base64.b64encode(b"s" * 23).decode(), False),
        ("whsec_" + base64.b64encode(b"s" * 64).decode(), True),
        ("whsec_" + base64.b64encode(b"s" * 65).decode(), False),
        (SECRET.removeprefix("whsec_"), False),
        ("whsec_not base64", False),
        (f"{SECRET[:20]}!{SECRET[20:]}", False),
    ],
)
def test_secret_of_a_hook_is_long_enough(secret: str, valid: bool) -> None:
    settings = {"url": "https://h.example", "secret": secret}
    if valid:
        assert read_settings("hook", settings).secret == secret
        return
    with pytest.raises(ValueError, match="24 to 64"):
        read_settings("hook", settings)


# A moderation model -------------------------------------------------------------------------------


def moderated(*results: dict[str, Any]) -> Asked:
    return Asked({"results": list(results)})


@pytest.mark.parametrize(
    ("settings", "second", "found"),
    [
        ({}, {"flagged": True}, True),
        ({}, {"flagged": False, "category_scores": {"hate": 0.9}}, False),
        ({"categories": ["hate"]}, {"flagged": False, "category_scores": {"hate": 0.5}}, True),
        ({"categories": ["hate"]}, {"flagged": True, "category_scores": {"hate": 0.49}}, False),
        (
            {"categories": ["hate"], "threshold": 0.9},
            {"flagged": True, "category_scores": {"hate": 0.8}},
            False,
        ),
        (
            {"categories": ["hate", "harm"]},
            {"flagged": False, "category_scores": {"hate": 0.1, "harm": 0.7}},
            True,
        ),
    ],
)
async def test_moderation_finds_whole_texts(
    settings: dict[str, Any], second: dict[str, Any], found: bool
) -> None:
    scores = dict.fromkeys(settings.get("categories", ()), 0.0)
    asked = moderated({"flagged": False, "category_scores": scores}, second)
    read = read_settings("moderation", {"model": "judge"} | settings)
    verdict = await call_moderation(read, QUESTION, asked)
    assert (asked.to, json.loads(asked.body)) == (
        "moderations", {"model": "judge", "input": ["ab", "Ünï"]},
    )  # fmt: skip
    assert [list(map(tuple, one)) for one in verdict.matches] == [
        [], [(0, 3, "CONTENT")] if found else [],
    ]  # fmt: skip
    assert verdict.action == "pass"


@pytest.mark.parametrize(
    "asked",
    [
        moderated(),
        moderated({"flagged": False}),
        moderated({"flagged": False}, {"flagged": False}),
        Asked({"error": "no"}),
    ],
)
async def test_moderation_of_another_form_is_a_failure(asked: Asked) -> None:
    """P40: also a category that the model does not know."""
    read = read_settings("moderation", {"model": "judge", "categories": ["hate"]})
    with pytest.raises(CallFailed) as failed:
        await call_moderation(read, QUESTION, asked)
    assert failed.value.failure == "answer"


# Presidio -----------------------------------------------------------------------------------------


async def test_presidio_is_asked_about_one_text() -> None:
    asked = Asked([{"start": 0, "end": 2, "entity_type": "PERSON", "score": 0.9}])
    settings = {"url": "https://p.example/", "language": "de", "score_threshold": 0.7}
    for entities in ([], ["PERSON"]):
        read = read_settings("presidio", settings | {"entities": entities})
        verdict = await call_presidio(read, QUESTION._replace(texts=("Ünï",)), asked)
        assert asked.to == "https://p.example/analyze"
        assert json.loads(asked.body) == {
            "text": "Ünï", "language": "de", "score_threshold": 0.7, "correlation_id": "request-1",
        } | ({"entities": entities} if entities else {})  # fmt: skip
        assert [list(map(tuple, one)) for one in verdict.matches] == [[(0, 2, "PERSON")]]


def findings(*spans: tuple[int, int, str]) -> bytes:
    rows = [
        {"start": start, "end": end, "entity_type": kind, "score": 1} for start, end, kind in spans
    ]
    return json.dumps(rows).encode()


def test_findings_that_overlap_are_one() -> None:
    raw = findings((6, 9, "URL"), (0, 4, "PERSON"), (2, 6, "LOCATION"), (0, 2, "TITLE"))
    assert [tuple(one) for one in read_findings(raw, "0123456789")] == [
        (0, 6, "PERSON"), (6, 9, "URL"),
    ]  # fmt: skip
    assert read_findings(findings((0, 1, "odd name")), "0")[0].kind == "FINDING"


@pytest.mark.parametrize(
    "raw",
    [
        b"{}", findings((0, 11, "X")), findings((-1, 2, "X")), findings((3, 3, "X")),
        findings((4, 3, "X")),
    ],
)  # fmt: skip
def test_finding_outside_of_the_text_is_a_failure(raw: bytes) -> None:
    """P40"""
    with pytest.raises(CallFailed):
        read_findings(raw, "0123456789")
