"""Answers of views to htmx, and to browsers without it."""

import json
from typing import Any
from unittest.mock import Mock

import pytest
from django import forms
from django.http import HttpResponse
from django.test import RequestFactory

from lib.htmx import back_to, redirect_to, render_dialog, see_other, sent_next, toast
from lib.refusal import Refused, check_text


def asked(data: Any = None, *, htmx: bool = False) -> Any:
    request: Any = RequestFactory().post("/here", data or {})
    request.htmx = Mock(history_restore_request=False) if htmx else False
    return request


@pytest.mark.parametrize(
    ("htmx", "refused", "status", "retarget"),
    [
        (True, False, 200, None),
        (True, True, 422, "#dialog"),
        (False, False, 200, None),
        (False, True, 422, "#dialog"),
    ],
)
def test_refused_form_stays_in_its_dialog(
    monkeypatch: pytest.MonkeyPatch, htmx: bool, refused: bool, status: int, retarget: str | None
) -> None:
    frames = []

    def render(
        request: Any, template: str, context: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        frames.append((template, context["frame"], context["form"]))
        return HttpResponse(status=status)

    monkeypatch.setattr("lib.htmx.render", render)
    request = asked(htmx=htmx)
    response = render_dialog(request, "form.html", {"form": 7}, refused=refused)
    assert response.status_code == status
    assert response.get("HX-Retarget") == retarget
    assert response.get("HX-Reswap") == ("innerHTML" if refused else None)
    assert frames == [("form.html", "dialog.html" if htmx else "dialog_page.html", 7)]


@pytest.mark.parametrize(
    ("next_", "to"),
    [
        ("/o/acme/keys?page=2", "/o/acme/keys?page=2"),
        ("", "/home"),
        ("o/acme", "/home"),
        ("//other.example/x", "/home"),
        ("/\\other.example/x", "/home"),
        ("https://other.example/", "/home"),
        ("javascript:alert(1)", "/home"),
    ],
)
def test_form_leads_back_to_our_own_pages_only(next_: str, to: str) -> None:
    assert back_to(asked({"next": next_}), "/home") == to


def test_dialog_keeps_the_page_that_it_was_opened_on() -> None:
    request = RequestFactory().post("/here?next=/opened", {"next": "/posted"})
    assert sent_next(request) == "/posted"
    assert sent_next(RequestFactory().get("/here?next=/opened")) == "/opened"
    assert sent_next(RequestFactory().get("/here")) == ""


def test_accepted_form_leads_on_by_get() -> None:
    response = see_other("/next")
    assert (response.status_code, response["Location"]) == (303, "/next")
    plain = redirect_to(asked(), "/next")
    assert (plain.status_code, plain["Location"]) == (303, "/next")
    by_htmx = redirect_to(asked(htmx=True), "/next")
    assert (by_htmx.status_code, by_htmx["HX-Redirect"]) == (204, "/next")
    assert "Location" not in by_htmx


def test_toast_is_an_event_of_the_page() -> None:
    plain = toast(HttpResponse(), "Gespeichert ✓")
    assert json.loads(plain["HX-Trigger"]) == {"toast": {"text": "Gespeichert ✓", "tone": "ok"}}
    undone = toast(HttpResponse(), "Gone", "Undo", "/undo", tone="warn", event="keys")
    assert json.loads(undone["HX-Trigger"]) == {
        "toast": {"text": "Gone", "tone": "warn", "action": "Undo", "post": "/undo"}, "keys": {},
    }  # fmt: skip


class Named(forms.Form):
    name = forms.CharField()


def test_refusal_stands_at_its_field_or_above_all() -> None:
    for field, place in (("name", "name"), ("balance", "__all__")):
        form = Named({"name": "x"})
        form.is_valid()
        Refused(field, "No.").add_to(form)
        assert form.errors == {place: ["No."]}


def test_text_is_never_cut() -> None:
    assert check_text("name", "  ab ", 2) == "ab"
    for text in ("abc", "a\0"):
        with pytest.raises(Refused) as refused:
            check_text("name", text, 2)
        assert (refused.value.field, refused.value.already_exists) == ("name", False)
