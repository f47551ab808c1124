"""Every fault in every dialect: the status, the error body and the in-stream error are its own."""

import gzip
import json
from typing import Any

import pytest

from tests.fakes.directives import FAULTS
from tests.fakes.tests.forms import (
    ARRAY,
    CHAT,
    COMPLETIONS,
    FORMS,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Form,
    named,
)
from tests.fakes.tests.http import Got, connect, post, post_bytes, read
from tests.fakes.upstream import FakeUpstream, expected_text

every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
GOOGLES = (GEMINI, ARRAY)
SSE_FORMS = [form for form in FORMS if form is not ARRAY]


def only_row(fake: FakeUpstream) -> dict[str, Any]:
    rows = fake.books()
    assert len(rows) == 1
    return rows[0]


def error_of(got: Got) -> dict[str, Any]:
    """The error object of a body, a one-element array too."""
    body = got.json()
    error: dict[str, Any] = (body[0] if isinstance(body, list) else body)["error"]
    return error


# fault -> (status, type) of messages, (status, status word) of gemini
STATUSES = {
    "F5": ((401, "authentication_error"), (400, "INVALID_ARGUMENT")),
    "F5:403": ((403, "permission_error"), (403, "PERMISSION_DENIED")),
    "F6": ((400, "invalid_request_error"), (400, "INVALID_ARGUMENT")),
    "F6:413": ((413, "request_too_large"), (413, "INVALID_ARGUMENT")),
    "F6:422": ((400, "invalid_request_error"), (400, "INVALID_ARGUMENT")),
    "F6:context": ((400, "invalid_request_error"), (400, "INVALID_ARGUMENT")),
    "F7": ((404, "not_found_error"), (404, "NOT_FOUND")),
    "F8": ((429, "rate_limit_error"), (429, "RESOURCE_EXHAUSTED")),
    "F9": ((400, "invalid_request_error"), (402, "RESOURCE_EXHAUSTED")),
    "F9:402": ((402, "billing_error"), (402, "RESOURCE_EXHAUSTED")),
    "F10": ((500, "api_error"), (500, "INTERNAL")),
    "F10:503": ((503, "overloaded_error"), (503, "UNAVAILABLE")),
    "F10:504": ((504, "timeout_error"), (504, "DEADLINE_EXCEEDED")),
    "F10:529": ((529, "overloaded_error"), (503, "UNAVAILABLE")),
    "F35": ((413, "request_too_large"), (413, "INVALID_ARGUMENT")),
    "F39:404": ((404, "not_found_error"), (404, "NOT_FOUND")),
    "F39:500": ((500, "api_error"), (500, "INTERNAL")),
}


@pytest.mark.parametrize("fault", STATUSES)
@both
def test_statuses_and_their_bodies(fake: FakeUpstream, fault: str, stream: bool) -> None:
    anthropic, google = STATUSES[fault]
    got = MESSAGES.ask(fake, f"x #fault={fault}", stream=stream, rid="m")
    assert got.json()["type"] == "error"
    assert got.json()["request_id"]
    assert (got.status, error_of(got)["type"]) == anthropic
    for form in GOOGLES:
        got = form.ask(fake, f"x #fault={fault}", stream=stream, rid=form.name)
        error = error_of(got)
        assert (got.status, error["status"]) == google
        assert error["code"] == got.status
        assert isinstance(got.json(), list) == (form is ARRAY and stream)
    same = [CHAT, RESPONSES, COMPLETIONS]
    bodies = [form.ask(fake, f"x #fault={fault}", stream=stream, rid=form.name) for form in same]
    assert len({(got.status, got.body) for got in bodies}) == 1
    assert {row["usage"]["total_tokens"] for row in fake.books()} == {0}
    assert {row["outcome"] for row in fake.books()} == {"faulted"}


@both
def test_rejected_gemini_prompt_is_a_200_without_candidates(
    fake: FakeUpstream, stream: bool
) -> None:
    for form in GOOGLES:
        got = form.ask(fake, "x y #fault=F6:content", stream=stream)
        body = form.frames(got)[0] if stream else got.json()
        assert body["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
        assert "candidates" not in body
        assert body["usageMetadata"]["promptTokenCount"] == 3
    assert [row["usage"]["total_tokens"] for row in fake.books()] == [3, 3]
    assert [row["reports"] for row in fake.books()] == [1, 1]


def test_waits_are_named_in_each_dialects_way(fake: FakeUpstream) -> None:
    def delay(variant: str) -> str | None:
        got = GEMINI.ask(fake, f"#fault=F8:{variant} #retry_after=7")
        retryDelays = [d["retryDelay"] for d in error_of(got)["details"] if "retryDelay" in d]
        return retryDelays[0] if retryDelays else None

    assert delay("seconds") == "7s"
    assert delay("ms") == "7.000s"
    assert delay("junk") == "soon; maybe"
    assert delay("none") is None
    assert (delay("huge") or "")[:-1].isdigit()
    got = MESSAGES.ask(fake, "#fault=F8 #retry_after=7")
    assert got.header("retry-after") == "7"
    assert got.header("anthropic-ratelimit-requests-remaining") == "0"


@every_form
def test_the_error_inside_a_stream(fake: FakeUpstream, form: Form) -> None:
    text = "x #tokens=9 #fault=F23@3"
    got = form.ask(fake, text, stream=True)
    output = form.said(got, stream=True)
    assert output.text == expected_text("a", text, 3)
    assert len(output.errors) == 1
    assert output.finish is None
    assert not output.ended
    if form is MESSAGES:
        assert named(got)[-1][0] == "error"
        assert output.errors[0]["type"] == "overloaded_error"
    if form is RESPONSES:
        assert named(got)[-1][0] == "response.failed"
    if form in GOOGLES:
        assert output.errors[0]["status"] == "UNAVAILABLE"
    row = only_row(fake)
    assert (row["outcome"], row["emitted"]) == ("faulted", 3)


@every_form
def test_the_error_before_anything(fake: FakeUpstream, form: Form) -> None:
    first = form.said(form.ask(fake, "#fault=F23", stream=True), stream=True)
    assert (len(first.errors), first.text) == (1, "")
    for stream in (False, True):
        body = form.ask(fake, "#fault=F23:body", stream=stream)
        assert body.status == 200
        assert "error" in body.json()
    assert [row["emitted"] for row in fake.books()] == [0, 0, 0]


@every_form
@pytest.mark.parametrize("fault", ["F14", "F14:close", "F14:short", "F14:chunk", "F33"])
def test_streams_that_end_too_soon(fake: FakeUpstream, form: Form, fault: str) -> None:
    got = form.ask(fake, f"x #tokens=9 #fault={fault}@4", stream=True)
    assert got.complete == (fault == "F14")
    assert not got.body.rstrip().endswith(b"]")
    row = only_row(fake)
    assert (row["outcome"], row["emitted"], row["usage"]["completion_tokens"]) == ("faulted", 4, 4)


@every_form
@both
def test_broken_json_and_broken_text(fake: FakeUpstream, form: Form, stream: bool) -> None:
    malformed = form.ask(fake, "x #fault=F15@2", stream=stream)
    with pytest.raises(json.JSONDecodeError):
        form.said(malformed, stream=stream)
    invalid = form.ask(fake, "x #fault=F16@2", stream=stream)
    with pytest.raises(UnicodeDecodeError):
        invalid.body.decode()
    assert malformed.complete
    assert invalid.complete
    assert {row["outcome"] for row in fake.books()} == {"faulted"}


@every_form
@both
def test_compressed_unasked(fake: FakeUpstream, form: Form, stream: bool) -> None:
    text = "x #tokens=4 #fault=F20"
    got = form.ask(fake, text, stream=stream)
    assert got.header("content-encoding") == "gzip"
    got.body = gzip.decompress(got.body)
    assert form.said(got, stream=stream).text == expected_text("a", text, 4)


@every_form
def test_the_wrong_kind_of_answer(fake: FakeUpstream, form: Form) -> None:
    text = "x #tokens=3 #fault=F19:json"
    output = form.said(form.ask(fake, text, stream=True), stream=False)
    assert output.text == expected_text("a", text, 3)
    text = "x #tokens=3 #fault=F19:sse"
    got = form.ask(fake, text, stream=False)
    if form not in GOOGLES:
        assert (got.header("content-type") or "").startswith("text/event-stream")
        assert expected_text("a", text, 3).split(" ")[0] in got.body.decode()


@every_form
def test_content_after_the_end(fake: FakeUpstream, form: Form) -> None:
    text = "x #tokens=2 #fault=F30"
    got = form.ask(fake, text, stream=True)
    assert b" after the end" in got.body
    output = form.said(got, stream=True)
    if form not in (CHAT, COMPLETIONS):
        assert output.text == expected_text("a", text, 2)
        assert output.finish in ("end_turn", "STOP", "completed")
    assert only_row(fake)["emitted"] == 2


@pytest.mark.parametrize("form", SSE_FORMS, ids=lambda form: form.name)
def test_fields_and_strings_that_must_not_leak(fake: FakeUpstream, form: Form) -> None:
    got = form.ask(fake, "#tokens=1 #fault=F31", stream=True)
    assert b"id: 5" in got.body
    assert b"retry: 1" in got.body
    text = form.said(got, stream=True)
    assert "c\n\ndata:[DONE]\n\nd" in text.text
    assert "\u2028" in text.text
    assert len(text.text.split(" ")) == only_row(fake)["emitted"] == 7


@every_form
def test_cuts_everywhere_lose_nothing(fake: FakeUpstream, form: Form) -> None:
    text = "x #tokens=9 #fault=F29"
    assert form.hear(fake, text, stream=True).text == expected_text("a", text, 9, "mixed")


@pytest.mark.parametrize("form", [MESSAGES, RESPONSES, *GOOGLES], ids=lambda form: form.name)
@both
def test_the_arguments_of_a_call_are_cut(fake: FakeUpstream, form: Form, stream: bool) -> None:
    closed = form.hear(fake, "x #fault=F38:closed", stream=stream)
    if form in GOOGLES:
        assert (closed.calls, closed.finish) == ([], "MALFORMED_FUNCTION_CALL")
    elif stream or form is RESPONSES:
        with pytest.raises(json.JSONDecodeError):
            json.loads(closed.calls[0][1])
    else:
        assert (closed.calls, closed.finish) == ([["get_weather", "{}"]], "max_tokens")
    if stream:
        got = form.ask(fake, "x #fault=F38:eof", stream=True)
        if form in GOOGLES:
            with pytest.raises(json.JSONDecodeError):
                form.said(got, stream=True)
        else:
            text = form.said(got, stream=True)
            assert (text.finish, text.ended) == (None, False)
        assert fake.books()[-1]["outcome"] == "faulted"


@every_form
@pytest.mark.parametrize("wish", ["cut", "rst"])
def test_a_stream_ends_after_exactly_so_many_bytes(
    fake: FakeUpstream, form: Form, wish: str
) -> None:
    whole = form.ask(fake, "x #tokens=3 #cut=99999", stream=True).body
    for size in range(0, len(whole) - 60, 97):
        fake.reset()
        got = form.ask(fake, f"x #tokens=3 #{wish}={size:05}", stream=True)
        assert len(got.body) == size
        assert not got.complete


SMALL: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("/v1/embeddings", {"model": "fake", "input": "@"}, CHAT.headers),
    ("/v1/moderations", {"input": "@"}, CHAT.headers),
    ("/v1/rerank", {"model": "fake", "query": "@", "documents": ["a"]}, CHAT.headers),
    ("/v2/rerank", {"model": "fake", "query": "@", "documents": ["a"]}, CHAT.headers),
    ("/v1/messages/count_tokens", MESSAGES.body("@", stream=False), MESSAGES.headers),
    ("/v1/responses/input_tokens", {"model": "fake", "input": "@"}, CHAT.headers),
    ("/v1beta/models/fake:countTokens", GEMINI.body("@", stream=False), GEMINI.headers),
    (
        "/v1beta/models/fake:embedContent",
        {"content": {"parts": [{"text": "@"}]}},
        GEMINI.headers,
    ),
]
KNOWN = [f"{code}:{variant}" for code, variants in FAULTS.items() for variant in variants]


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL, ids=[case[0] for case in SMALL])
def test_every_fault_of_the_small_operations_ends(fake: FakeUpstream, case: Any) -> None:
    path, body, headers = case
    for fault in KNOWN:
        wish = f"x #fault={fault} #wait_ms=2 #every_ms=0 #bytes=100000"
        filled = json.loads(json.dumps(body).replace("@", wish))
        if path.endswith("count_tokens"):
            del filled["max_tokens"]
        with connect(fake) as sock:
            sock.sendall(post_bytes(path, filled, headers, fault))
            read(sock, limit=200_000)
        assert fake.wait_for_row(fault)["final"], fault


@pytest.mark.slow
@every_form
@both
def test_every_fault_of_every_dialect_ends(fake: FakeUpstream, form: Form, stream: bool) -> None:
    for fault in KNOWN:
        wish = f"x #fault={fault} #wait_ms=2 #every_ms=0 #bytes=100000"
        body = form.body(wish, stream=stream)
        with connect(fake) as sock:
            sock.sendall(post_bytes(form.path(stream=stream), body, form.headers, fault))
            read(sock, limit=200_000)
        row = fake.wait_for_row(fault)
        assert row["final"], fault
        assert row["fault"] == fault
    assert len(fake.books()) == len(KNOWN)


def test_f35_answers_during_the_upload_in_the_dialects_words(fake: FakeUpstream) -> None:
    body = MESSAGES.body("#fault=F35 " + "a" * 1_000_000, stream=False)
    data = post_bytes("/v1/messages", body, MESSAGES.headers)
    with connect(fake) as sock:
        sock.sendall(data[:100_000])
        got = read(sock)
    assert (got.status, error_of(got)["type"]) == (413, "request_too_large")


def test_malformed_request_is_rejected_and_never_crashes(fake: FakeUpstream) -> None:
    for form in FORMS:
        wrong: list[Any] = [
            [],
            {},
            {"model": 5, "messages": 3, "contents": 3, "input": 3},
            "x",
            None,
        ]
        for body in wrong:
            got = post(fake, form.path(stream=False), body, form.headers)
            assert got.status == 400, (form.name, body)
            assert got.json()["error"]["message"]
    assert {row["outcome"] for row in fake.books()} == {"refused"}
