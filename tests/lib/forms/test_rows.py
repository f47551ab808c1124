"""A text of lines as rows of fields."""

import re

import pytest
from django import forms
from django.http import QueryDict

from lib.forms.rows import Cell, RowsText
from tests.support.hostile import STORABLE


class Form(forms.Form):
    rules = forms.CharField(
        required=False,
        widget=RowsText(
            [
                Cell("group", "Group", forms.TextInput),
                Cell("role", "Role", lambda: forms.Select(choices=[("", "–"), ("dev", "Dev")])),
            ],
            lambda line: line.split("=", 1),
            "{}={}".format,
        ),
    )


def values(page: str) -> list[str]:
    return re.findall(r'name="rules_group"(?: value="([^"]*)")?', page)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("rules_group=a&rules_role=dev", "a=dev"),
        ("rules_group=a&rules_role=dev&rules_group=&rules_role=", "a=dev"),
        ("rules_group=&rules_role=&rules_group=b&rules_role=dev", "b=dev"),
        ("rules_group=a&rules_role=", "a="),
        ("rules_group=a", "a="),
        ("rules=a%3Ddev", "a=dev"),
        ("", ""),
    ],
)
def test_rows_are_sent_as_lines(sent: str, text: str) -> None:
    form = Form(QueryDict(sent))
    assert form.is_valid()
    assert form.cleaned_data["rules"] == text


def test_lines_are_shown_as_rows_with_an_empty_one() -> None:
    page = str(Form(initial={"rules": "a=dev\n\nb=dev"})["rules"])
    # The last one is what the script copies.
    assert values(page) == ["a", "b", "", ""]
    assert page.count('<option value="dev" selected>') == 2
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 8


@pytest.mark.parametrize("text", STORABLE)
def test_hostile_lines_stay_text(text: str) -> None:
    page = str(Form({"rules": f"{text}=dev"})["rules"])
    assert "<script>alert" not in page
    assert '"hi"' not in page
