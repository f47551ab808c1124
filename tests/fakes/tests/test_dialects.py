"""Every directive does the same in every dialect, in that dialect's words."""

import json
import math
from typing import Any

import pytest

from tests.fakes.tests.forms import (
    ARRAY,
    CHAT,
    COMPLETIONS,
    FORMS,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Form,
)
from tests.fakes.tests.http import connect, post_bytes, read
from tests.fakes.upstream import FakeUpstream, expected_text

WITH_CALLS = [form for form in FORMS if form is not COMPLETIONS]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
with_calls = pytest.mark.parametrize("form", WITH_CALLS, ids=lambda form: form.name)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])

STOPS = {
    "chat": ("stop", "length", "tool_calls"),
    "messages": ("end_turn", "max_tokens", "tool_use"),
    "gemini": ("STOP", "MAX_TOKENS", "STOP"),
    "gemini array": ("STOP", "MAX_TOKENS", "STOP"),
    "responses": ("completed", "max_output_tokens", "completed"),
    "completions": ("stop", "length", "stop"),
}


def only_row(fake: FakeUpstream) -> dict[str, Any]:
    rows = fake.books()
    assert len(rows) == 1
    return rows[0]


def capped(form: Form, cap: int) -> dict[str, Any]:
    name = {"chat": "max_tokens", "messages": "max_tokens", "completions": "max_tokens"}
    if form in (GEMINI, ARRAY):
        return {"generationConfig": {"maxOutputTokens": cap}}
    return {name.get(form.name, "max_output_tokens"): cap}


@every_form
@both
@pytest.mark.parametrize("more", ["", "#chunk_bytes=3", "#lang=mixed", "#batch=4", "#comments"])
def test_the_same_words_are_said_and_counted(
    fake: FakeUpstream, form: Form, stream: bool, more: str
) -> None:
    text = f"one two three #tokens=20 {more}".strip()
    output = form.hear(fake, text, stream=stream)
    lang = "mixed" if "mixed" in more else "en"
    assert output.text == expected_text("a", text, 20, lang)
    assert output.finish == STOPS[form.name][0]
    assert output.usage == (len(text.split()), 0, 20, 0)
    row = only_row(fake)
    assert (row["outcome"], row["emitted"], row["stream"]) == ("finished", 20, stream)
    assert row["reported"]["completion_tokens"] == 20
    assert row["reported"]["total_tokens"] == row["usage"]["total_tokens"]
    assert row["dialect"] == form.name.split()[0]
    assert row["unknown"] == []


@every_form
@both
def test_caps_end_with_the_dialects_word(fake: FakeUpstream, form: Form, stream: bool) -> None:
    text = form.hear(fake, "#tokens=50", stream=stream, **capped(form, 17))
    assert len(text.text.split(" ")) == 17
    assert text.finish == STOPS[form.name][1]
    assert text.usage == (1, 0, 17, 0)


@with_calls
@both
def test_reasoning_is_shown_sealed_and_counted(
    fake: FakeUpstream, form: Form, stream: bool
) -> None:
    text = form.hear(fake, "a b c #cached=2 #reasoning=3 #hidden=4 #tokens=5", stream=stream)
    assert len(text.reasoning.split(" ")) == 3
    assert len(text.text.split(" ")) == 5
    assert text.usage == (7, 2, 12, 7)
    assert len(text.seals) == (0 if form is CHAT else 1)
    row = only_row(fake)
    assert (row["emitted"], row["reasoning_tokens"]) == (12, 7)
    assert row["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
    assert row["reported"]["completion_tokens_details"]["reasoning_tokens"] == 7
    assert 12 - 7 * (form in (GEMINI, ARRAY)) in row["reported_raw"].values()


@with_calls
@both
def test_parallel_calls(fake: FakeUpstream, form: Form, stream: bool) -> None:
    text = form.hear(fake, "go #tools=2 #args=3 #tokens=2", stream=stream)
    assert [name for name, _ in text.calls] == ["get_weather"] * 2
    bodys = [json.loads(option) for _, option in text.calls]
    assert [option["n"] for option in bodys] == [0, 1]
    assert all(option["city"].startswith("上海 ") for option in bodys)
    assert text.finish == STOPS[form.name][2]
    assert text.usage == (4, 0, 14, 0)
    assert only_row(fake)["emitted"] == 14


@with_calls
@both
def test_a_cap_inside_a_call(fake: FakeUpstream, form: Form, stream: bool) -> None:
    """What cannot be shown is billed all the same."""
    text = "go #tools=1 #args=40"
    output = form.said(form.ask(fake, text, stream=stream, **capped(form, 16)), stream=stream)
    assert output.usage[2] == 16
    assert output.finish == STOPS[form.name][1]
    assert only_row(fake)["emitted"] == 16


@every_form
@both
def test_answers_may_lie_in_every_dialect(fake: FakeUpstream, form: Form, stream: bool) -> None:
    def read_usage(mode: str) -> Any:
        return form.hear(fake, f"one two #tokens=4 #usage={mode}", stream=stream).usage

    assert read_usage("zero")[::2] == (0, 0)
    assert read_usage("negative")[2] == -5
    assert read_usage("float")[2] == 4.5
    assert read_usage("string")[::2] == ("many", "4")
    assert math.isnan(read_usage("nan")[2])
    assert read_usage("huge")[2] == 10**18
    assert read_usage("context")[0] == 50_000_000
    if form is not COMPLETIONS:
        assert read_usage("cached")[1] == 9
    assert {row["usage"]["total_tokens"] for row in fake.books()} == {8}


@every_form
def test_usage_is_sent_where_requested(fake: FakeUpstream, form: Form) -> None:
    def outputs(mode: str) -> list[Any]:
        usages = form.hear(fake, f"x #tokens=3 #usage={mode}", stream=True).usages
        return [usage[2] for usage in usages]

    assert outputs("none") == []
    assert outputs("null") == []
    assert outputs("finish") == [3]
    assert outputs("twice")[-2:] == [3, 3]
    assert outputs("early") == [1, 3]
    assert outputs("start") == [1]
    assert outputs("auto")[-1] == 3
    growing = outputs("cumulative")
    assert growing == sorted(growing)
    assert set(growing) >= {1, 2, 3}
    plain = form.hear(fake, "x #usage=none")
    assert plain.usages == []


@with_calls
def test_tool_results_are_repeated_in_the_second_turn(fake: FakeUpstream, form: Form) -> None:
    for stream in (False, True):
        more = _second_turn(form, "go #tools=2", ["21 °C clear", "rain at noon"])
        text = form.hear(fake, "go #tools=2", stream=stream, **more)
        assert text.calls == []
        assert text.text.endswith(" 21 °C clear rain at noon")
        again = _second_turn(form, "go #tools=2 #again", ["x", "y"])
        assert len(form.hear(fake, "", stream=stream, **again).calls) == 2
        silent = _second_turn(form, "go #tokens=0 #tools=2 #again #silent", ["x", "y"])
        assert form.hear(fake, "", stream=stream, **silent).text == ""
    assert fake.books()[0]["results"] == ["21 °C clear", "rain at noon"]


def _second_turn(form: Form, text: str, results: list[str]) -> dict[str, Any]:
    """The fields that hold a user's text, two calls and their results."""
    ids = ["id_1", "id_2"]
    calls: list[Any]
    if form is CHAT:
        calls = [
            {"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}}
            for i in ids
        ]
        values = [
            {"role": "tool", "tool_call_id": i, "content": r}
            for i, r in zip(ids, results, strict=True)
        ]
        assistant: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": calls}
        return {"messages": [{"role": "user", "content": text}, assistant, *values]}
    if form is MESSAGES:
        calls = [{"type": "tool_use", "id": i, "name": "look", "input": {}} for i in ids]
        values = [
            {"type": "tool_result", "tool_use_id": i, "content": r}
            for i, r in zip(ids, results, strict=True)
        ]
        turns: list[Any] = [("user", text), ("assistant", calls), ("user", values)]
        return {"messages": [{"role": role, "content": content} for role, content in turns]}
    if form is RESPONSES:
        items: list[Any] = [{"role": "user", "content": text}]
        for i in ids:
            call = {"type": "function_call", "call_id": i, "name": "look", "arguments": "{}"}
            items.append(call)
        for i, result in zip(ids, results, strict=True):
            items.append({"type": "function_call_output", "call_id": i, "output": result})
        return {"input": items}
    calls = [{"functionCall": {"name": "look", "args": {}}} for _ in ids]
    lines: list[Any] = [
        {"functionResponse": {"name": "look", "response": {"result": r}}} for r in results
    ]
    turns = [("user", [{"text": text}]), ("model", calls), ("user", lines)]
    return {"contents": [{"role": role, "parts": parts} for role, parts in turns]}


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 3},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}},
        "home": {"$ref": "#/$defs/home"},
        "ok": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    },
    "additionalProperties": False,
    "$defs": {
        "home": {
            "type": "object",
            "properties": {"lat": {"type": "number"}},
            "additionalProperties": False,
        }
    },
}


@with_calls
@both
def test_schema_is_answered_with_matching_json(
    fake: FakeUpstream, form: Form, stream: bool
) -> None:
    wanted: dict[str, Any] = {
        "chat": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "person", "schema": SCHEMA},
            }
        },
        "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        "responses": {"text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA}}},
    }
    gemini = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    more = wanted.get(form.name, {"generationConfig": gemini})
    text = form.hear(fake, "who", stream=stream, **more)
    body = json.loads(text.text)
    assert list(body) == ["name", "age", "tags", "home", "ok"]
    assert (body["age"], body["tags"], body["home"], body["ok"]) == (
        3,
        ["x"],
        {"lat": 7.5},
        True,
    )
    assert len(text.text.split(" ")) == text.usage[2] == only_row(fake)["emitted"]


def test_claude_refuses_a_schema_of_open_objects(fake: FakeUpstream) -> None:
    """platform.claude.com, "Structured outputs", 2026-11."""
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": SCHEMA}}}
    answer = MESSAGES.ask(
        fake, "x", output_config={"format": {"type": "json_schema", "schema": schema}}
    )
    assert (answer.status, b"additionalProperties" in answer.body) == (400, True)


@every_form
def test_wishes_of_the_model_and_of_scripts(fake: FakeUpstream, form: Form) -> None:
    fake.script("#tokens=3")
    assert form.hear(fake, "x #tokens=9").usage[2] == 3
    assert form.hear(fake, "x #b.tokens=9 #a.tokens=8").usage[2] == 8


@every_form
def test_unknown_fields_are_noted_or_refused(fake: FakeUpstream, form: Form) -> None:
    assert form.ask(fake, "x", max_cost=1).status == 200
    assert only_row(fake)["unknown"] == ["max_cost"]
    refused = form.ask(fake, "x #strict", max_cost=1)
    assert refused.status == 400
    assert b"max_cost" in refused.body
    assert form.ask(fake, "x #strict").status == 200


@every_form
def test_a_held_answer_of_any_dialect_is_left(fake: FakeUpstream, form: Form) -> None:
    with connect(fake) as sock:
        body = form.body("x #tokens=50 #hold=5", stream=True)
        sock.sendall(post_bytes(form.path(stream=True), body, form.headers))
        fake.wait_for(lambda totals: totals["holding"] == 1)
    row = fake.wait_for_row("r1")
    assert (row["outcome"], row["emitted"]) == ("cut", 5)


@every_form
def test_a_wrong_credential_is_no_row(fake: FakeUpstream, form: Form) -> None:
    wrong = {name: value.replace("sk-fake", "sk-other") for name, value in form.headers.items()}
    path, body = form.path(stream=False), form.body("x", stream=False)
    for headers in (wrong, {"authorization": "Bearer"}):
        with connect(fake) as sock:
            sock.sendall(post_bytes(path, body, headers))
            got = read(sock)
        assert got.status in (400, 401, 403)
        assert got.json()["error"]["message"]
    other = {"x-goog-api-key": "sk-fake"} if form is MESSAGES else {"x-api-key": "sk-fake"}
    with connect(fake) as sock:
        sock.sendall(post_bytes(path, body, other))
        assert read(sock).status in (401, 403)
    assert fake.totals()["unauthorized"] == 3
    assert fake.books() == []
