"""The books: what is in them, who leaves, and that they outlive the server."""

import json
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import AuthenticationError, OpenAI

from tests.fakes.tests.http import ask, connect, read, request_bytes
from tests.fakes.upstream import FakeUpstream, expected_text


def test_a_row_is_found_by_the_attempt_id(fake: FakeUpstream) -> None:
    ask(fake, "one two #tokens=3", rid="attempt 1/x")
    ask(fake, "one two #tokens=3", rid="attempt 1/x")
    row = fake.row("attempt 1/x")
    assert row is not None
    assert (row["count"], row["usage"]["total_tokens"], row["final"]) == (2, 6, True)
    assert json.loads(row["body"])["messages"][0]["content"] == "one two #tokens=3"
    assert row["headers"]["authorization"] == "Bearer sk-fake"
    assert fake.row("other") is None


def test_totals_are_the_sums_of_what_is_billed(fake: FakeUpstream) -> None:
    ask(fake, "a b #tokens=5 #cached=1")
    ask(fake, "a #tokens=7", stream=True)
    ask(fake, "a #fault=F10")
    ask(fake, "a b c #fault=F14@2", stream=True)
    totals = fake.totals()
    assert (totals["requests"], totals["finished"], totals["faulted"]) == (4, 2, 2)
    assert (totals["prompt_tokens"], totals["cached_tokens"], totals["emitted"]) == (10, 1, 14)


def test_leaving_client_is_noticed_immediately(fake: FakeUpstream) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #tokens=50 #hold=5", stream=True))
        fake.wait_for(lambda totals: totals["holding"] == 1)
        assert fake.row("r1")["emitted"] == 5  # type: ignore[index]
        left = time.monotonic_ns()
    row = fake.wait_for_row("r1")
    assert (row["outcome"], row["emitted"]) == ("cut", 5)
    assert left <= row["left_at"] <= time.monotonic_ns()


def test_held_answer_continues_when_released(fake: FakeUpstream) -> None:
    with connect(fake) as one, connect(fake) as two:
        one.sendall(request_bytes("x #tokens=9 #hold=5", stream=True, rid="one"))
        two.sendall(request_bytes("x #tokens=9 #hold=0", stream=True, rid="two"))
        fake.wait_for(lambda totals: totals["holding"] == 2)
        fake.release("two")
        assert len(read(two).text().split(" ")) == 9
        assert fake.totals()["open"] == 1
        fake.release()
        assert len(read(one).text().split(" ")) == 9
    assert [row["outcome"] for row in fake.books()] == ["finished", "finished"]


def test_waiting_for_a_missing_request_ends(fake: FakeUpstream) -> None:
    with pytest.raises(TimeoutError):
        fake.wait_for(lambda totals: totals["requests"] == 1, seconds=0.05)


def test_times_of_the_writes_are_kept_on_request(fake: FakeUpstream) -> None:
    ask(fake, "x #tokens=4 #delay_ms=2 #times", stream=True)
    times = fake.books()[0]["chunk_times"]
    assert len(times) == 4
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 1_000_000


def test_reset_clears_rows_and_running_answers_continue(fake: FakeUpstream) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #tokens=9 #hold=5", stream=True))
        fake.wait_for(lambda totals: totals["holding"] == 1)
        fake.reset()
        fake.release()
        assert read(sock).complete
    assert fake.books() == []


def test_two_hundred_streams_at_once_need_no_script(fake: FakeUpstream) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(fake)) for _ in range(200)]
        for i, sock in enumerate(sockets):
            text = f"n{i} #tokens={i + 1} #delay_ms=1 #batch=20"
            sock.sendall(request_bytes(text, stream=True, rid=f"r{i}"))
        for i, sock in enumerate(sockets):
            text = f"n{i} #tokens={i + 1} #delay_ms=1 #batch=20"
            assert read(sock).text() == expected_text("a", text, i + 1)
    emitted = {row["client_request_id"]: row["emitted"] for row in fake.books()}
    assert emitted == {f"r{i}": i + 1 for i in range(200)}


@pytest.mark.parametrize("fsync", [False, True])
def test_the_books_outlive_a_kill(tmp_path: Path, fsync: bool) -> None:
    with FakeUpstream("k", process=True, books_dir=tmp_path, fsync=fsync) as fake:
        ask(fake, "x #tokens=8", rid="whole")
        with connect(fake) as sock:
            sock.sendall(request_bytes("x #tokens=50 #hold=7", stream=True, rid="half"))
            fake.wait_for(lambda totals: totals["holding"] == 1)
            before = {row["client_request_id"]: row for row in fake.books()}
            fake.kill()
            got = read(sock)
        assert len(got.text().split(" ")) == 7
        with (tmp_path / "k.jsonl").open("ab") as file:
            file.write(b'{"e":"acc')  # a torn line
        fake.port = 0
        fake.start()
        after = {row["client_request_id"]: row for row in fake.books()}
        assert after["whole"] == before["whole"]
        assert (after["half"]["outcome"], after["half"]["emitted"]) == ("lost", 7)
        ask(fake, "x #tokens=1", rid="next")
        assert fake.row("next")["seq"] == 3  # type: ignore[index]
        fake.stop()
        fake.port = 0
        fake.start()
        assert fake.row("next")["outcome"] == "finished"  # type: ignore[index]


def test_sigterm_ends_the_process_in_order() -> None:
    with FakeUpstream("k", process=True) as fake:
        assert fake.process is not None
        fake.process.terminate()
        assert fake.process.wait(5) == 0


def client(fake: FakeUpstream, key: str = "sk-fake") -> OpenAI:
    return OpenAI(base_url=fake.url, api_key=key, max_retries=0)


MESSAGES: Any = [{"role": "user", "content": "hello you"}]


def test_the_official_client_reads_plain_answers_and_models(fake: FakeUpstream) -> None:
    with client(fake) as openai:
        got = openai.chat.completions.create(model="fake-9", messages=MESSAGES)
        assert got.choices[0].message.content == expected_text("a", "hello you", 9)
        assert got.usage is not None
        assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (2, 9)
        assert [model.id for model in openai.models.list()] == ["fake", "fake-64", "fake-1000"]
    with client(fake, "sk-wrong") as openai, pytest.raises(AuthenticationError):
        openai.models.list()


def test_the_official_client_reads_streams_and_tools(fake: FakeUpstream) -> None:
    with client(fake) as openai:
        text, usage = "", None
        for chunk in openai.chat.completions.create(
            model="fake-9+lang=emoji+chunk_bytes=3",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        ):
            usage = chunk.usage or usage
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        assert text == expected_text("a", "hello you", 9, "emoji")
        assert usage is not None
        assert usage.completion_tokens == 9
        called = openai.chat.completions.create(
            model="fake+tools=1",
            messages=MESSAGES,
            tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}],
        )
        call = (called.choices[0].message.tool_calls or [])[0]
        assert call.type == "function"
        assert call.function.name == "look"
        assert json.loads(call.function.arguments)["n"] == 0


def test_a_slow_reader_stops_the_emitting(fake: FakeUpstream) -> None:
    with connect(fake) as sock:
        sock.sendall(request_bytes("x #fault=F18", stream=True))
        fake.wait_for_row("r1", lambda row: row["emitted"] > 1000)
        steady = _steady_count(fake)
        assert fake.row("r1")["emitted"] == steady  # type: ignore[index]
    assert fake.wait_for_row("r1")["emitted"] == steady


def _steady_count(fake: FakeUpstream) -> int:
    """The emitted count once the socket is full: nothing changes for a while."""
    while True:
        version = fake.totals()["version"]
        try:
            fake.wait_for(lambda totals, seen=version: totals["version"] > seen, seconds=0.1)  # type: ignore[misc]
        except TimeoutError:
            emitted: int = fake.books()[0]["emitted"]
            return emitted
