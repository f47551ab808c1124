"""Every fault does to a client what its row says, and the books know of it."""

import gzip
import json
import socket
import ssl
import zlib
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.directives import FAULTS
from tests.fakes.listeners import hanging_port, refused_port, tls_context
from tests.fakes.tests.http import Got, ask, connect, read, request_bytes
from tests.fakes.upstream import FakeUpstream, expected_text


def only_row(fake: FakeUpstream) -> dict[str, Any]:
    rows = fake.books()
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("F5", 401, "invalid_api_key"),
        ("F5:403", 403, "unsupported_country"),
        ("F6", 400, None),
        ("F6:413", 413, None),
        ("F6:422", 422, None),
        ("F6:context", 400, "context_length_exceeded"),
        ("F6:content", 400, "invalid_prompt"),
        ("F7", 404, "model_not_found"),
        ("F8", 429, "rate_limit_exceeded"),
        ("F9", 429, "insufficient_quota"),
        ("F9:402", 402, "insufficient_quota"),
        ("F10", 500, None),
        ("F10:503", 503, None),
        ("F10:504", 504, None),
        ("F10:529", 529, None),
        ("F35", 413, "body_too_large"),
        ("F39:404", 404, "404"),
        ("F39:500", 500, None),
    ],
)
def test_error_statuses_bill_nothing(
    fake: FakeUpstream, fault: str, status: int, code: str | None, stream: bool
) -> None:
    got = ask(fake, f"x #fault={fault}", stream=stream)
    assert (got.status, got.json()["error"]["code"]) == (status, code)
    row = only_row(fake)
    assert (row["outcome"], row["status"], row["usage"]["total_tokens"]) == ("faulted", status, 0)


def test_f5_echoes_our_key_and_a_wrong_key_is_no_row(fake: FakeUpstream) -> None:
    assert b"sk-fake" in ask(fake, "#fault=F5").body
    assert ask(fake, "x", key="sk-other").status == 401
    assert fake.totals()["unauthorized"] == 1
    assert len(fake.books()) == 1


def test_f8_names_its_wait_in_every_form(fake: FakeUpstream) -> None:
    def wait(variant: str) -> str | None:
        return ask(fake, f"#fault=F8:{variant} #retry_after=7").header("retry-after")

    assert wait("seconds") == "7"
    assert parsedate_to_datetime(wait("date") or "").tzinfo is not None
    assert wait("junk") == "soon; maybe"
    assert wait("none") is None
    assert (wait("huge") or "").isdigit()
    assert ask(fake, "#fault=F8:ms #retry_after=1.2").header("retry-after-ms") == "1200"


def test_f10_502_is_html(fake: FakeUpstream) -> None:
    got = ask(fake, "#fault=F10:502")
    assert (got.status, got.header("content-type")) == (502, "text/html")
    assert got.body.startswith(b"<html>")


def test_f21_points_elsewhere_and_knows_who_followed(fake: FakeUpstream) -> None:
    for status in (301, 302, 303, 307, 308):
        got = ask(fake, f"#fault=F21:{status}")
        assert (got.status, got.header("location")) == (status, "/_canary")
    assert fake.totals()["canary"] == 0
    httpx.get(f"{fake.origin}/_canary")
    assert fake.totals()["canary"] == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["F11", "F11:content", "F13"])
def test_slow_and_stalled_answers_wait_and_then_go_on(
    fake: FakeUpstream, fault: str, stream: bool
) -> None:
    text = f"x #fault={fault} #wait_ms=30 #tokens=4"
    got = ask(fake, text, stream=stream)
    assert got.complete
    row = only_row(fake)
    assert (row["outcome"], row["emitted"]) == ("finished", 4)
    if fault != "F11:content" or stream:
        assert row["ended_at"] - row["accepted_at"] >= 25_000_000


@pytest.mark.parametrize(
    ("fault", "seen", "emitted"),
    [("F11", b"", 0), ("F11:content", b'"role"', 0), ("F13@3", b"a-", 3)],
)
def test_client_leaving_a_stall_is_noticed_immediately(
    fake: FakeUpstream, fault: str, seen: bytes, emitted: int
) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes(f"x #fault={fault}", stream=True))
        fake.wait_for_row("r1", lambda row: row["struck"] and row["emitted"] == emitted)
        if seen:
            assert seen in sock.recv(65536)
    row = fake.wait_for_row("r1")
    assert (row["outcome"], row["emitted"]) == ("faulted", emitted)
    assert row["left_at"] is not None
    assert row["usage"]["prompt_tokens"] == 2


def test_f12_trickles_its_head(fake: FakeUpstream) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #fault=F12 #every_ms=1", stream=True))
        first = sock.recv(65536)
        assert b"HTTP/1.1 200 OK\r\ncontent-type".startswith(first)
        raw = first
        while not raw.endswith(b"0\r\n\r\n"):
            raw += sock.recv(65536)
    assert only_row(fake)["outcome"] == "finished"


def test_f13_comments_keep_the_line_busy(fake: FakeUpstream) -> None:
    got = ask(fake, "#fault=F13:comments@2 #wait_ms=20 #every_ms=5", stream=True)
    assert got.body.count(b": keep-alive") == 4


@pytest.mark.parametrize("at", [0, 1, 5, 16])
def test_f14_ends_without_a_terminal_marker(fake: FakeUpstream, at: int) -> None:
    text = f"x #tokens=16 #fault=F14@{at}"
    for variant in ("eof", "close", "short", "chunk"):
        fake.reset()
        got = ask(fake, text.replace("F14", f"F14:{variant}"), stream=True)
        words = got.text()
        assert words == expected_text("a", text.replace("F14", f"F14:{variant}"), at)
        assert b"[DONE]" not in got.body
        assert got.complete == (variant == "eof")
        assert got.broken == (variant == "chunk")
        row = only_row(fake)
        assert (row["outcome"], row["emitted"]) == ("faulted", at)


@pytest.mark.parametrize("variant", ["eof", "close", "short"])
def test_f14_cuts_a_plain_answer(fake: FakeUpstream, variant: str) -> None:
    got = ask(fake, f"x #fault=F14:{variant}")
    assert got.complete == (variant == "eof")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        got.json()
    assert only_row(fake)["outcome"] == "faulted"


@pytest.mark.parametrize("stream", [False, True])
def test_f15_and_f16_break_one_event_and_go_on(fake: FakeUpstream, stream: bool) -> None:
    malformed = ask(fake, "x #fault=F15@2", stream=stream)
    with pytest.raises(json.JSONDecodeError):
        _ = malformed.events() if stream else malformed.json()
    invalid = ask(fake, "x #fault=F16@2", stream=stream)
    with pytest.raises(UnicodeDecodeError):
        invalid.body.decode()
    assert malformed.complete
    assert invalid.complete
    assert {row["outcome"] for row in fake.books()} == {"faulted"}


@pytest.mark.parametrize("stream", [False, True])
def test_f17_never_ends_its_line(fake: FakeUpstream, stream: bool) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #fault=F17", stream=stream))
        got = read(sock, limit=2**21)
    assert b"\n" not in got.body
    assert fake.wait_for_row("r1")["outcome"] == "faulted"


def test_f18_streams_until_the_client_leaves(fake: FakeUpstream) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #fault=F18", stream=True, max_tokens=5))
        got = read(sock, limit=2**20)
    row = fake.wait_for_row("r1")
    assert row["outcome"] == "cut"
    assert row["emitted"] >= got.body.count(b"data: ") - 2 > 1000


def test_f19_sends_the_wrong_kind(fake: FakeUpstream) -> None:
    for stream in (False, True):
        assert ask(fake, "#fault=F19", stream=stream).header("content-type") == "text/html"
    assert ask(fake, "#fault=F19:json", stream=True).json()["object"] == "chat.completion"
    assert ask(fake, "#fault=F19:sse").events()[-1] == "[DONE]"
    assert ask(fake, "#fault=F19:sse", stream=True).events()[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [False, True])
def test_f20_compresses_unasked(fake: FakeUpstream, stream: bool) -> None:
    packed = ask(fake, "x #fault=F20", stream=stream)
    assert packed.header("content-encoding") == "gzip"
    assert b'"finish_reason":"stop"' in gzip.decompress(packed.body)
    deflated = ask(fake, "x #fault=F20:deflate", stream=stream)
    assert b'"finish_reason":"stop"' in zlib.decompress(deflated.body)
    bomb = ask(fake, "x #fault=F20:bomb #bytes=67108864", stream=stream)
    assert len(gzip.decompress(bomb.body)) == 2**26 > 500 * len(bomb.body)


def test_f22_floods_with_headers(fake: FakeUpstream) -> None:
    assert len(ask(fake, "#fault=F22").headers or ()) > 5000
    assert len(ask(fake, "#fault=F22:giant").header("x-giant") or "") == 2**20


def test_f23_is_an_error_in_a_200(fake: FakeUpstream) -> None:
    plain = ask(fake, "#fault=F23")
    assert (plain.status, plain.json()["error"]["code"]) == (200, "overloaded")
    first = ask(fake, "#fault=F23", stream=True)
    assert [event["error"]["code"] for event in first.events()] == ["overloaded"]
    assert ask(fake, "#fault=F23:body", stream=True).json()["error"]["code"] == "overloaded"
    middle = ask(fake, "#fault=F23@3", stream=True)
    assert len(middle.text().split(" ")) == 3
    assert "error" in middle.events()[-1]
    assert [row["emitted"] for row in fake.books()] == [0, 0, 0, 3]


def test_f24_is_empty(fake: FakeUpstream) -> None:
    assert (ask(fake, "#fault=F24").status, ask(fake, "#fault=F24").body) == (200, b"")
    assert ask(fake, "#fault=F24:204").status == 204
    stream = ask(fake, "#fault=F24:stream", stream=True)
    assert (stream.complete, stream.body) == (True, b"")


def test_f25_to_f28_shape_the_usage(fake: FakeUpstream) -> None:
    def usages(fault: str) -> list[Any]:
        return ask(fake, f"x #tokens=3 #fault={fault}", stream=True).usages()

    assert usages("F25") == []
    assert [usage["completion_tokens"] for usage in usages("F26")] == [3, 3]
    assert usages("F26:cumulative")[-1]["completion_tokens"] == 3
    assert usages("F27")[0]["completion_tokens"] == -4
    assert usages("F28")[0]["total_tokens"] == 0
    assert {row["outcome"] for row in fake.books()} == {"finished"}


def test_f29_cuts_everywhere_and_loses_nothing(fake: FakeUpstream) -> None:
    text = "x #tokens=9 #fault=F29"
    got = ask(fake, text, stream=True)
    assert got.text() == expected_text("a", text, 9, "mixed")
    assert b"\r\n1\r\n" in got.raw


def test_f30_talks_after_its_end(fake: FakeUpstream) -> None:
    events = ask(fake, "#tokens=2 #fault=F30", stream=True).events()
    assert events.count("[DONE]") == 2
    first = events.index("[DONE]")
    ends = [e["choices"][0]["finish_reason"] for e in events[:first] if e["choices"]]
    assert ends[-2:] == ["stop", "length"]
    assert events[first + 1]["choices"][0]["delta"]["content"] == " after the end"
    assert only_row(fake)["emitted"] == 2


def test_f31_has_fields_and_strings_that_must_not_leak(fake: FakeUpstream) -> None:
    got = ask(fake, "#tokens=1 #fault=F31", stream=True)
    assert b"event: message_stop\nid: 5\nretry: 1\ndata: {" in got.body
    assert "\u2028" in got.text()
    assert "c\n\ndata:[DONE]\n\nd" in got.text()
    assert len(got.text().split(" ")) == only_row(fake)["emitted"] == 7


def test_f32_closes_a_connection_that_was_kept(fake: FakeUpstream) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("first #fault=F32"))
        assert read(sock).status == 200
        sock.sendall(request_bytes("second #fault=F32", rid="r2"))
        assert sock.recv(100) == b""
    row = fake.row("r2")
    assert row is not None
    assert (row["outcome"], row["usage"]["total_tokens"]) == ("faulted", 0)
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #fault=F32:idle"))
        assert read(sock).complete
        assert sock.recv(100) == b""


@pytest.mark.parametrize(("fault", "emitted"), [("F33", 0), ("F33@4", 4)])
def test_f33_resets(fake: FakeUpstream, fault: str, emitted: int) -> None:
    got = ask(fake, f"x #fault={fault}", stream=True)
    assert got.reset
    assert (got.raw == b"") == (emitted == 0)
    row = only_row(fake)
    assert (row["outcome"], row["emitted"], row["accepted"]) == ("faulted", emitted, True)


def test_f34_is_too_big(fake: FakeUpstream) -> None:
    got = ask(fake, "x #fault=F34 #bytes=3000000")
    assert len(got.json()["choices"][0]["message"]["content"]) == 3_000_000
    assert only_row(fake)["emitted"] == 1


def test_f35_answers_while_the_upload_goes_on(fake: FakeUpstream) -> None:
    data = request_bytes("#fault=F35 " + "a" * 1_000_000)
    with connect(fake) as sock:
        sock.sendall(data[:100_000])
        got = read(sock)
        assert (got.status, got.complete) == (413, True)
        assert sock.recv(100) == b""
        sock.sendall(data[100_000:])


def test_f37_says_more_than_asked(fake: FakeUpstream) -> None:
    for stream in (False, True):
        got = ask(fake, "x #fault=F37", stream=stream)
        assert b"HTTP/1.1 103 Early Hints" in got.raw
        assert got.raw.endswith(b"x-late: yes\r\n\r\n")
        assert (got.status, got.complete) == (200, True)


def test_f38_cuts_the_arguments_of_a_call(fake: FakeUpstream) -> None:
    def arguments(got: Got) -> str:
        calls = [call for delta in got.deltas() for call in delta.get("tool_calls", ())]
        return "".join(call["function"]["arguments"] for call in calls)

    for variant, finishes in (("eof", []), ("closed", ["tool_calls"])):
        got = ask(fake, f"x #fault=F38:{variant}", stream=True)
        assert got.finishes() == finishes
        with pytest.raises(json.JSONDecodeError):
            json.loads(arguments(got))
    assert [row["emitted"] for row in fake.books()] == [6, 6]


@pytest.mark.parametrize("wish", ["cut", "rst"])
def test_a_stream_ends_after_exactly_so_many_bytes(fake: FakeUpstream, wish: str) -> None:
    whole = ask(fake, "x #tokens=3 #cut=99999", stream=True).body
    for size in range(0, len(whole), 37):
        fake.reset()
        got = ask(fake, f"x #tokens=3 #{wish}={size:05}", stream=True)
        assert len(got.body) == size
        assert not got.complete
        full_events = got.body.count(b"\n\n")
        assert only_row(fake)["emitted"] == min(max(full_events - 1, 0), 3)


def test_every_variant_of_every_fault_is_answered_or_dropped(fake: FakeUpstream) -> None:
    """No fault crashes the fake: each leaves a row that has ended."""
    known = [f"{code}:{variant}" for code, variants in FAULTS.items() for variant in variants]
    for stream in (False, True):
        fake.reset()
        for fault in known:
            wish = f"x #fault={fault} #wait_ms=2 #every_ms=0 #bytes=100000"
            with connect(fake) as sock:
                sock.sendall(request_bytes(wish, stream=stream, rid=fault))
                read(sock, limit=200_000)
            assert fake.wait_for_row(fault)["final"], fault
    assert len(fake.books()) == len(known)


def test_f1_and_f4_have_their_ports() -> None:
    with refused_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    with hanging_port() as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), timeout=0.05)


@pytest.mark.parametrize("kind", ["good", "expired", "wrong_host", "self_signed", "old"])
def test_f3_speaks_tls_that_only_the_good_client_would_take(tmp_path: Path, kind: str) -> None:
    context, authority = tls_context(tmp_path, kind)
    trust = ssl.create_default_context(cafile=str(authority))
    with (
        FakeUpstream("a", tls=context, fsync=False) as fake,
        httpx.Client(verify=trust) as client,
    ):
        if kind == "good":
            key = {"authorization": "Bearer sk-fake"}
            assert client.get(f"{fake.url}/models", headers=key).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError):
                client.get(f"{fake.url}/models")
