"""What an erasure is shown as in each of its states, and what a form starts, without a person."""

import datetime as dt
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from config.erasure import api, views
from lib.refusal import Refused
from playground.erasure.erasure_steps import FAILED

ASKED, DONE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
PERSON: Any = SimpleNamespace(pk=7)


@pytest.mark.parametrize(
    ("waits_for", "done_at", "state"),
    [("", None, "running"), ("requests", None, "waiting"), (FAILED, None, "failed"),
     ("", DONE, "done")],
)  # fmt: skip
def test_erasure_is_described_by_its_state(
    monkeypatch: pytest.MonkeyPatch, waits_for: str, done_at: dt.datetime | None, state: str
) -> None:
    erasure = SimpleNamespace(
        pseudonym="p", asked_at=ASKED, done_at=done_at, waits_for=waits_for, counts={"chats": 3}
    )
    copies = SimpleNamespace(backup_at=DONE, keep_days=0, months=2, sinks=["x"])
    monkeypatch.setattr(api, "find_erasure", lambda *_: erasure)
    monkeypatch.setattr(api, "remaining_copies", lambda erasure: copies)
    told = api._describe_erasure(PERSON, None)
    assert (told.state, told.requested_at, told.done_at) == (state, ASKED, done_at)
    assert (told.pseudonym, told.obstacle, told.counts) == ("p", None, {"chats": 3})
    assert told.copies.model_dump() == {
        "last_backup_at": DONE, "backup_keep_days": None, "detached_months": 2, "sinks": ["x"],
    }  # fmt: skip


def test_what_would_be_erased_is_counted_before(monkeypatch: pytest.MonkeyPatch) -> None:
    would = SimpleNamespace(
        chats=1, media=2, prompts=3, views=4, keys=["k"] * 5, budgets=6, sessions=7,
        obstacle="last owner",
    )  # fmt: skip
    copies = SimpleNamespace(backup_at=None, keep_days=9, months=0, sinks=[])
    monkeypatch.setattr(api, "find_erasure", lambda *_: None)
    monkeypatch.setattr(api, "preview", lambda *_: would)
    monkeypatch.setattr(api, "remaining_copies", lambda erasure: copies)
    told = api._describe_erasure(PERSON, None)
    assert (told.state, told.requested_at, told.done_at) == ("none", None, None)
    assert (told.pseudonym, told.obstacle) == (None, "last owner")
    assert told.copies.backup_keep_days == 9
    assert told.counts == {
        "chats": 1, "media": 2, "prompts": 3, "views": 4, "keys": 5, "budgets": 6, "sessions": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "valid", "refused", "started"),
    [("get", False, False, False), ("post", False, False, False), ("post", True, False, True),
     ("post", True, True, True)],
)  # fmt: skip
def test_only_a_valid_form_starts_an_erasure(
    monkeypatch: pytest.MonkeyPatch, method: str, valid: bool, refused: bool, started: bool
) -> None:
    """One that is not, or that is refused, comes back with its errors."""
    form = Mock(is_bound=method == "post", cleaned_data={"reason": "asked"}, fates={"k": "f"})
    form.is_valid.return_value = valid
    form.fields = {"reason": None}
    refusal = Refused("reason", "why") if refused else None
    begin = Mock(side_effect=refusal, return_value="erasure")
    shown = Mock(return_value="dialog")
    monkeypatch.setattr(views, "erasable_part", lambda actor, person: None)
    monkeypatch.setattr(views, "preview", lambda person, part: SimpleNamespace(obstacle=""))
    monkeypatch.setattr(views, "ErasureForm", lambda *_: form)
    monkeypatch.setattr(views, "remaining_copies", lambda: None)
    monkeypatch.setattr(views, "request_erasure", begin)
    monkeypatch.setattr(views, "render_dialog", shown)
    request: HttpRequest = getattr(RequestFactory(), method)("/", {"email": "x"})
    actor: Any = SimpleNamespace(user=None)
    result: object = views._show_or_start(request, actor, PERSON, back="/b")
    assert begin.called is started
    if started:
        begin.assert_called_once_with(actor, PERSON, reason="asked", fates={"k": "f"})
    assert result == ("erasure" if started and not refused else "dialog")
    if shown.called:
        assert shown.call_args.kwargs == {"refused": method == "post"}
    assert form.add_error.called is refused
