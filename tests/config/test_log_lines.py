import io
import logging

import pytest
from django.test import Client

from accounts.models import KeyKind
from tests.cast import Cast, make_key, signed_in, with_key


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to the log of a running installation."""
    stream = io.StringIO()
    (handler,) = (one for one in logging.getLogger().handlers if one.get_name() == "stderr")
    monkeypatch.setattr(handler, "stream", stream)
    return stream


def lines(people: Cast, which: str) -> None:
    _, relay = make_key(people.core, "ci", networks=["10.0.0.0/8"])
    _, bobs = make_key(people.core, "m", user=people.bob, kind=KeyKind.MANAGEMENT)
    made: dict[str, tuple[Client, str]] = {
        "page": (signed_in(people.bob), "/o/acme/webhooks"),
        "address": (with_key(relay), "/api/v1/keys"),
        "role": (with_key(bobs), "/api/v1/webhooks"),
    }
    client, path = made[which]
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
