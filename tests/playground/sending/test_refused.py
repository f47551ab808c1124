"""What takes the place of a form that was refused: the composer, or a reason beside the answer."""

from typing import Any
from unittest.mock import Mock, patch

import pytest
from django.http import QueryDict
from django.test import RequestFactory

from playground.sending import views

COMPOSER = "playground/turns/_refused.html"
BESIDE = "playground/turns/_refused_again.html"


def refused(form: str) -> tuple[str, dict[str, Any], int]:
    """The template, its context and its status."""
    request = RequestFactory().post("/", QueryDict(form), headers={"HX-Request": "true"})
    request.POST = QueryDict(form)
    render, nothing = Mock(), Mock(return_value={})
    with patch.multiple(
        views, render=render, models_context=nothing, displayed_payer=nothing, chips=nothing,
        running_conversations=nothing, page=Mock(composer_context=nothing), is_htmx=Mock(),
    ):  # fmt: skip
        views.refused_page(request, Mock(), "No.", 422)
    (_, template, context), status = render.call_args.args, render.call_args.kwargs["status"]
    return template, context, status


@pytest.mark.parametrize(
    ("form", "template"),
    [
        ("text=Hi", COMPOSER),
        ("", COMPOSER),
        *((f"{name}=x&text=Hi", BESIDE) for name in ("retry", "answered", "instead", "as_before")),
    ],
)
def test_refused_form_is_answered_where_it_was_sent(form: str, template: str) -> None:
    shown, context, status = refused(form)
    assert (shown, context["error"], status) == (template, "No.", 422)
    assert ("text" in context) is (template == COMPOSER)


def test_refused_composer_keeps_all_that_was_in_it() -> None:
    _, context, _ = refused("text=Hi&seen=s&model=m&file=f1&file=f2&system=x")
    kept = {"text": "Hi", "seen": "s", "asked_model": "m", "file_ids": ["f1", "f2"]}
    assert context | kept == context
    assert context["form"]["system"] == "x"
    _, bare, _ = refused("")
    assert [bare[name] for name in ("text", "seen", "asked_model", "file_ids")] == ["", "", "", []]
