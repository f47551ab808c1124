"""Fields of the browser: what they submit is the same in every language, and what they show is in
the page's language."""

import datetime as dt

import pytest
from django.conf import settings
from django.utils import translation

from lib.forms.date_and_file_fields import DateInput, FileInput, MomentInput


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES])
def test_date_is_formatted_for_browsers(language: str) -> None:
    with translation.override(language):
        field = DateInput({"autofocus": True}).render("day", dt.date(2026, 3, 1))
        moment = MomentInput().render("at", dt.datetime(2026, 3, 1, 14, 5))  # noqa: DTZ001 - as shown
    assert 'type="date"' in field
    assert 'value="2026-03-01"' in field
    assert "autofocus" in field
    assert 'type="datetime-local"' in moment
    assert 'value="2026-03-01T14:05"' in moment


def test_empty_fields_use_the_pages_language() -> None:
    with translation.override("zh-hans"):
        field, file = (
            DateInput().render("day", None),
            FileInput({"accept": ".csv"}).render("f", None),
        )
    assert 'data-empty="选择日期"' in field
    assert "未选择文件" in file
    assert 'accept=".csv"' in file
