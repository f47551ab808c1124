"""A date in a form is there in every language: browsers take it in ISO 8601 alone."""

import datetime as dt

import pytest
from django.conf import settings
from django.utils import translation

from lib.forms.fields import DateInput


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES])
def test_a_date_is_told_as_browsers_take_it(language: str) -> None:
    with translation.override(language):
        field = DateInput({"autofocus": True}).render("day", dt.date(2026, 3, 1))
    assert 'type="date"' in field
    assert 'value="2026-03-01"' in field
    assert "autofocus" in field
