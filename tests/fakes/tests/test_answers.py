"""Texts, counts and usage: what is reported is what was said."""

import json
import math
from typing import Any

import pytest

from tests.fakes.tests.http import Got, ask
from tests.fakes.upstream import FakeUpstream, expected_text


def total(prompt: int, completion: int) -> tuple[int, int, int]:
    return prompt, completion, prompt + completion


def triple(usage: dict[str, Any]) -> tuple[int, int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]


def test_plain_answer_echoes_and_counts_the_request(fake: FakeUpstream) -> None:
    got = ask(fake, "one two three #tokens=20").json()
    text = got["choices"][0]["message"]["content"]
    assert text == expected_text("a", "one two three #tokens=20", 20)
    assert len(text.split(" ")) == 20
    assert triple(got["usage"]) == total(4, 20)
    row = fake.row("r1")
    assert row is not None
    assert (row["outcome"], row["emitted"], row["prompt_tokens"]) == ("finished", 20, 4)
    assert triple(row["usage"]) == triple(row["reported"]) == total(4, 20)


@pytest.mark.parametrize("lang", ["en", "cjk", "emoji", "mixed"])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_stream_says_the_same_as_a_plain_answer(fake: FakeUpstream, lang: str, size: int) -> None:
    text = f"hello #tokens=12 #lang={lang} #chunk_bytes={size}"
    plain = ask(fake, text).json()["choices"][0]["message"]["content"]
    got = ask(fake, text, stream=True)
    assert got.text() == plain == expected_text("a", text, 12, lang)
    assert got.finishes() == ["stop"]
    assert got.events()[-1] == "[DONE]"
    assert triple(got.usages()[-1]) == total(4, 12)
    assert [row["emitted"] for row in fake.books()] == [12, 12]


def test_other_servers_and_other_questions_get_other_texts() -> None:
    assert expected_text("a", "x", 1) != expected_text("b", "x", 1)
    assert expected_text("a", "x", 1) != expected_text("a", "y", 1)


def test_the_model_name_steers_too_and_the_message_wins(fake: FakeUpstream) -> None:
    assert ask(fake, "x", model="fake-5").json()["usage"]["completion_tokens"] == 5
    assert ask(fake, "x", model="fake-5+cached=1").json()["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 1,
        "audio_tokens": 0,
    }
    assert ask(fake, "#tokens=6", model="fake-5").json()["usage"]["completion_tokens"] == 6
    assert ask(fake, "x", model="gpt-4").json()["usage"]["completion_tokens"] == 16


def test_caps_are_kept_unless_told_otherwise(fake: FakeUpstream) -> None:
    capped = ask(fake, "#tokens=50", max_tokens=7).json()
    assert capped["usage"]["completion_tokens"] == 7
    assert capped["choices"][0]["finish_reason"] == "length"
    both = ask(fake, "#tokens=50", max_tokens=7, max_completion_tokens=3).json()
    assert both["usage"]["completion_tokens"] == 3
    free = ask(fake, "#tokens=50 #uncapped", stream=True, max_tokens=7)
    assert len(free.text().split(" ")) == 50


def test_cached_and_reasoning_tokens_are_counted(fake: FakeUpstream) -> None:
    text = "a b c #cached=2 #reasoning=3 #hidden=4 #tokens=5"
    got = ask(fake, text, stream=True)
    usage = got.usages()[-1]
    assert triple(usage) == total(7, 12)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 2
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 7
    page_text = "".join(delta.get("reasoning_content") or "" for delta in got.deltas())
    assert len(page_text.split(" ")) == 3
    row = fake.row("r1")
    assert row is not None
    assert (row["emitted"], row["reasoning_tokens"]) == (12, 7)
    assert ask(fake, text).json()["usage"] == usage


def test_several_choices_share_one_usage(fake: FakeUpstream) -> None:
    got = ask(fake, "#tokens=3", n=2).json()
    texts = [choice["message"]["content"] for choice in got["choices"]]
    assert texts[0] != texts[1]
    assert got["usage"]["completion_tokens"] == 6
    assert ask(fake, "#tokens=3", stream=True, n=2).usages()[-1]["completion_tokens"] == 6


def test_tool_calls_come_whole_and_in_pieces(fake: FakeUpstream) -> None:
    tools = [{"type": "function", "function": {"name": "look", "description": "looks around"}}]
    plain = ask(fake, "go #tools=2", tools=tools).json()
    calls = plain["choices"][0]["message"]["tool_calls"]
    assert plain["choices"][0]["finish_reason"] == "tool_calls"
    assert plain["choices"][0]["message"]["content"] is None
    assert [call["function"]["name"] for call in calls] == ["look", "look"]
    assert triple(plain["usage"]) == total(5, 14)
    arguments = ["", ""]
    for delta in ask(fake, "go #tools=2", stream=True, tools=tools).deltas():
        for call in delta.get("tool_calls", ()):
            arguments[call["index"]] += call["function"]["arguments"]
    assert arguments == [call["function"]["arguments"] for call in calls]


def test_named_tools_are_called_once_by_those_offered_them(fake: FakeUpstream) -> None:
    tools = [{"type": "function", "function": {"name": "run", "description": "runs"}}]
    fake.script('#call=[["run",{"cmd":"cat\\u0020a"}],["run",{}]]', with_tools=True)
    fake.script("#tokens=3", times=9)
    assert "tool_calls" not in ask(fake, "go").json()["choices"][0]["message"]
    choice = ask(fake, "go", tools=tools).json()["choices"][0]
    calls = [call["function"] for call in choice["message"]["tool_calls"]]
    assert choice["finish_reason"] == "tool_calls"
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("run", {"cmd": "cat a"}),
        ("run", {}),
    ]
    assert ask(fake, "go", tools=tools).json()["usage"]["completion_tokens"] == 3
    fake.forget_scripts()
    assert ask(fake, "go", tools=tools).json()["usage"]["completion_tokens"] == 16


def test_echo_repeats_the_words(fake: FakeUpstream) -> None:
    assert ask(fake, "<script> & 'q' #echo", stream=True).text() == "<script> & 'q'"


def stream_usage(fake: FakeUpstream, mode: str, **fields: Any) -> Got:
    return ask(fake, f"one two #tokens=4 #usage={mode}", stream=True, **fields)


def test_usage_is_sent_where_requested(fake: FakeUpstream) -> None:
    honest = total(4, 4)
    assert stream_usage(fake, "auto", stream_options=None).usages() == []
    assert triple(stream_usage(fake, "always", stream_options=None).usages()[0]) == honest
    assert stream_usage(fake, "none").usages() == []
    finish = [e for e in stream_usage(fake, "finish").events()[:-1] if e.get("usage")]
    assert [e["choices"][0]["finish_reason"] for e in finish] == ["stop"]
    assert triple(finish[0]["usage"]) == honest
    twice = stream_usage(fake, "twice").usages()
    assert [triple(usage) for usage in twice] == [honest, honest]
    growing = [u["completion_tokens"] for u in stream_usage(fake, "cumulative").usages()]
    assert growing == [0, 1, 2, 3, 4, 4]
    early = [u["completion_tokens"] for u in stream_usage(fake, "early").usages()]
    assert early == [1, 4]
    assert "usage" not in ask(fake, "x #usage=none").json()
    assert [row["reports"] for row in fake.books()] == [0, 1, 0, 1, 2, 6, 2, 0]


def test_answers_may_lie_and_the_books_stay_true(fake: FakeUpstream) -> None:
    body = {mode: stream_usage(fake, mode).usages()[-1] for mode in ("zero", "negative", "float")}
    body |= {mode: stream_usage(fake, mode).usages()[-1] for mode in ("string", "nan", "huge")}
    body |= {mode: stream_usage(fake, mode).usages()[-1] for mode in ("context", "cached")}
    assert body["zero"]["completion_tokens"] == 0
    assert body["negative"]["completion_tokens"] == -5
    assert body["float"]["completion_tokens"] == 4.5
    assert body["string"]["completion_tokens"] == "4"
    assert math.isnan(body["nan"]["completion_tokens"])
    assert body["huge"]["completion_tokens"] == 10**18
    assert body["context"]["prompt_tokens"] == 50_000_000
    assert body["cached"]["prompt_tokens_details"]["cached_tokens"] > 4
    assert {triple(row["usage"]) for row in fake.books()} == {total(4, 4)}


def test_other_shapes_of_a_stream(fake: FakeUpstream) -> None:
    text = "#tokens=6 #crlf #nospace #comments #nodone"
    got = ask(fake, text, stream=True)
    assert b"\r\n\r\ndata:{" in got.body
    assert b": keep-alive\r\n\r\n" in got.body
    assert b"\n:\r\n\r\n" in got.body
    assert b"[DONE]" not in got.body
    assert got.text() == expected_text("a", text, 6)


def test_prefixes_are_conditions(fake: FakeUpstream) -> None:
    text = "#a.tokens=3 #b.tokens=9 #1.fault=F10"
    assert ask(fake, text).status == 500
    assert ask(fake, text).json()["usage"]["completion_tokens"] == 3


def test_a_script_covers_the_next_requests_of_its_model(fake: FakeUpstream) -> None:
    fake.script("#fault=F10:503", model="fake-*", times=2)
    statuses = [ask(fake, "x", model=m).status for m in ("fake", "fake-1", "fake-2", "fake-3")]
    assert statuses == [200, 503, 503, 200]
    with pytest.raises(ValueError, match="unknown directive"):
        fake.script("#nonsense=1")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_wrong_requests_are_refused(fake: FakeUpstream, fields: Any, param: str) -> None:
    got = ask(fake, "x", **fields)
    assert (got.status, got.json()["error"]["param"]) == (400, param)
    totals = fake.totals()
    assert (totals["refused"], totals["prompt_tokens"]) == (1, 0)


def test_unknown_directive_is_rejected_and_a_word_is_not(fake: FakeUpstream) -> None:
    assert ask(fake, "#fault=F99").json()["error"]["code"] == "bad_directive"
    assert ask(fake, "#token=3").json()["error"]["code"] == "bad_directive"
    assert ask(fake, "see #1 and #heading").status == 200


def test_fields_missing_in_the_dialect_are_noted(fake: FakeUpstream) -> None:
    ask(fake, "x", max_cost=1, temperature=1)
    assert fake.books()[0]["unknown"] == ["max_cost"]
