import asyncio
import io
import json
import logging
import sys
import time

import psycopg
import pytest
from django.db import OperationalError
from django.test import Client

from accounts.models import KeyKind
from accounts.secrets import key_format
from config.server.log_handler import (
    JsonLine,
    OnceAMinute,
    TextLine,
    find_log_handler,
    name_request,
)
from lib.process.log_context import REQUEST_ID, current_request_id
from tests.support.cast import Cast, make_key, signed_in, with_key


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to the log of a running installation."""
    stream = io.StringIO()
    handler = find_log_handler()
    assert handler is not None
    monkeypatch.setattr(handler.writer, "put", lambda line: stream.write(f"{line}\n"))
    return stream


def lines(people: Cast, which: str) -> None:
    _, relay = make_key(people.core, "ci", networks=["10.0.0.0/8"])
    _, bobs = make_key(people.core, "m", user=people.bob, kind=KeyKind.MANAGEMENT)
    values: dict[str, tuple[Client, str]] = {
        "page": (signed_in(people.bob), "/o/acme/webhooks"),
        "address": (with_key(relay), "/api/v1/keys"),
        "role": (with_key(bobs), "/api/v1/webhooks"),
    }
    client, path = values[which]
    assert client.get(path).status_code == 403


@pytest.mark.parametrize("which", ["page", "address", "role"])
def test_rejection_is_at_most_one_log_line(people: Cast, written: io.StringIO, which: str) -> None:
    lines(people, which)
    assert "Traceback" not in written.getvalue()
    assert len(written.getvalue().splitlines()) <= 1


def test_internal_error_is_logged_with_its_traceback(written: io.StringIO) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        request = logging.getLogger("django.request")
        request.error("Internal", exc_info=True, extra={"status_code": 500})
    assert "Traceback" in written.getvalue()


def tell(number: int) -> None:
    """One of the lines of a process whose database is away."""
    log = logging.getLogger("psycopg.pool" if number % 3 == 0 else "weir")
    lost = psycopg.OperationalError("connection failed: refused\n\tIs the server running?")
    if number % 3 == 0:
        log.warning("error connecting in %r: %s", "pool-1", lost)
    elif number % 3 == 1:
        log.warning("the database is away: %s", lost)
    else:
        try:
            raise OperationalError from lost
        except OperationalError:
            log.exception("a round of sweep failed")


@pytest.mark.parametrize("first", [0, 1, 2])
def test_unavailable_database_is_one_line_a_minute(
    written: io.StringIO, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = find_log_handler()
    assert handler is not None
    (away,) = (one for one in handler.filters if isinstance(one, OnceAMinute))
    began = time.monotonic() + 1000
    monkeypatch.setattr(away, "_next_s", -1.0)
    for at_s in (0.0, 1.0, 59.9, 60.0, 119.9):
        monkeypatch.setattr(time, "monotonic", lambda at_s=at_s: began + at_s)
        tell(first)
        first += 1
    told, later = written.getvalue().splitlines()
    assert "the database cannot be reached" in told
    assert "refused" in told
    assert "(2 more such lines since the last one)" in later
    assert "Traceback" not in written.getvalue()


@pytest.mark.parametrize(
    "error", [psycopg.errors.LockNotAvailable("locked"), psycopg.errors.QueryCanceled("late")]
)
def test_database_error_is_logged_each_time(written: io.StringIO, error: psycopg.Error) -> None:
    for _ in range(2):
        try:
            raise OperationalError from error
        except OperationalError:
            logging.getLogger("weir").exception("a round of sweep failed")
    assert written.getvalue().count("Traceback") >= 2


def record_of(message: str, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("weir", logging.WARNING, "", 0, message, None, None)
    vars(record).update(extra)
    name_request(record)
    return record


def test_a_json_line_names_its_request_and_is_one_line() -> None:
    token = REQUEST_ID.set("01JCXREQUEST")
    try:
        line = JsonLine().format(record_of('a "quote"\nand\x00 \U0001f600'))
    finally:
        REQUEST_ID.reset(token)
    assert "\n" not in line
    assert "\x00" not in line
    decoded = json.loads(line)
    assert decoded.pop("time").endswith("Z")
    assert decoded == {
        "level": "WARNING",
        "logger": "weir",
        "message": 'a "quote"\nand\x00 \U0001f600',
        "request_id": "01JCXREQUEST",
    }


def test_a_line_outside_of_any_request_has_no_id() -> None:
    assert "request_id" not in json.loads(JsonLine().format(record_of("x")))
    assert TextLine().format(record_of("x")) == "WARNING weir: x"


@pytest.mark.parametrize(
    "secret",
    [
        key_format.compose("relay", bytes(range(32))),
        key_format.compose("management", bytes(range(32))),
        "sk-proj-abcdefgh12345678",
        "AIzaSyA1234567890abcdefghij",
        "Bearer abc.def.ghi123",
        "postgresql://weir:hunter2@db/weir",
    ],
)
@pytest.mark.parametrize("form", [TextLine, JsonLine])
def test_no_line_shows_a_key(form: type[logging.Formatter], secret: str) -> None:
    try:
        raise ValueError(f"in a traceback: {secret}")
    except ValueError:
        record = record_of(f"in the message: {secret}.", exc_info=sys.exc_info())
    line = form().format(record)
    hidden = "hunter2" if "hunter2" in secret else secret.removeprefix("Bearer ")
    assert hidden not in line
    assert line.count("***") >= 2


async def test_loop_callback_names_no_request() -> None:
    """A pooled connection is read in the context of whoever opened it."""
    loop = asyncio.get_running_loop()
    token, result = REQUEST_ID.set("01JCXREQUEST"), loop.create_future()
    try:
        loop.call_soon(lambda: result.set_result(current_request_id()))
        assert current_request_id() == "01JCXREQUEST"
        assert await result is None
    finally:
        REQUEST_ID.reset(token)


def test_unformattable_record_is_still_a_line(written: io.StringIO) -> None:
    handler = find_log_handler()
    assert handler is not None
    record = logging.LogRecord("weir", logging.WARNING, "weir.py", 7, "%d requests", ("a",), None)
    handler.handle(record)
    assert written.getvalue().startswith(
        "ERROR config.server.log_handler: cannot format '%d requests' of "
    )


def test_a_page_names_its_request(people: Cast, written: io.StringIO) -> None:
    answer = signed_in(people.bob).get("/o/acme/webhooks")
    assert answer.status_code == 403
    assert f"[{answer.headers['x-request-id']}]" in written.getvalue()
