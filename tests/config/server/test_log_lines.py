import asyncio
import io
import json
import logging
import sys

import pytest
from django.test import Client

from accounts.keys import key_format
from accounts.models import KeyKind
from config.server.log_handler import JsonLine, TextLine, find_log_handler, name_request
from lib.process.log_context import REQUEST_ID, current_request_id
from tests.cast import Cast, make_key, signed_in, with_key


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
def test_a_refusal_is_one_line_of_the_log_at_the_most(
    people: Cast, written: io.StringIO, which: str
) -> None:
    lines(people, which)
    assert "Traceback" not in written.getvalue()
    assert len(written.getvalue().splitlines()) <= 1


def test_a_defect_is_told_with_its_traceback(written: io.StringIO) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        request = logging.getLogger("django.request")
        request.error("Internal", exc_info=True, extra={"status_code": 500})
    assert "Traceback" in written.getvalue()


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


async def test_a_callback_of_the_loop_names_nobodys_request() -> None:
    """A pooled connection is read in the context of whoever opened it."""
    loop = asyncio.get_running_loop()
    token, result = REQUEST_ID.set("01JCXREQUEST"), loop.create_future()
    try:
        loop.call_soon(lambda: result.set_result(current_request_id()))
        assert current_request_id() == "01JCXREQUEST"
        assert await result is None
    finally:
        REQUEST_ID.reset(token)


def test_a_record_that_cannot_be_formatted_is_a_line(written: io.StringIO) -> None:
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
