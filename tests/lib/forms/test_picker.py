"""Fields that are chosen from a list: what they contain, and what they keep."""

import pytest
from django import forms
from django.test import RequestFactory

from lib.forms.country_and_zone_fields import CountryField, ZoneField, zone_choices
from lib.forms.picker import (
    Choice,
    PickSelect,
    PickSelectMultiple,
    PickText,
    split_words,
    typed_text,
)


class Picked(forms.Form):
    one = forms.CharField(widget=PickText())
    many = forms.CharField(widget=PickText(many=True))
    zone = ZoneField()
    country = CountryField()


def test_words_of_a_field_are_taken_once() -> None:
    assert split_words(" gpt-4o, gpt-5\n gpt-4o ,, claude*") == ["gpt-4o", "gpt-5", "claude*"]
    assert split_words("  ") == []


def test_typed_text_is_safe_to_search_for() -> None:
    for text, typed in ((" a b ", "a b"), ("a\0b", "ab"), ("x" * 300, "x" * 200)):
        assert typed_text(RequestFactory().get("/", {"q": text})) == typed


def test_only_a_field_of_several_values_is_split() -> None:
    assert list(PickText().chosen("x", "a b, c")) == [Choice("a b, c", "a b, c")]
    assert [one.value for one in PickText(many=True).chosen("x", "a b, a")] == ["a", "b"]
    assert list(PickText().chosen("x", None)) == []
    described = PickText(describe=lambda values: [Choice(one, one.upper()) for one in values])
    assert list(described.chosen("x", "a")) == [Choice("a", "A")]


def test_stored_value_that_is_no_longer_offered_stays() -> None:
    widget = PickSelect(choices=[("", "Any"), ("a", "A")])
    assert 'value="gone" selected' in str(widget.render("x", "gone"))
    assert [one.value for one in widget.chosen("x", "gone")] == ["gone"]
    several = PickSelectMultiple(choices=[("a", "A"), ("b", "B")])
    assert [one.value for one in several.chosen("x", ["b", "gone"])] == ["b", "gone"]


def test_required_value_can_be_replaced_but_not_removed() -> None:
    form = Picked(initial={"one": "a", "many": "b"})
    assert "data-unpick" not in str(form["one"])
    assert "data-unpick" in str(form["many"])


@pytest.mark.parametrize(
    ("zone", "valid"),
    [("UTC", True), ("Asia/Shanghai", True), ("CET", True), ("Etc/GMT+3", True), ("Moon/A", False)],
)
def test_every_zone_is_valid_though_places_alone_are_offered(zone: str, valid: bool) -> None:
    form = Picked({"zone": zone, "one": "x", "many": "y"})
    assert form.is_valid() is valid
    offered = dict(zone_choices())
    assert ("CET" in offered, offered["America/New_York"]) == (False, "America/New York")
    assert zone_choices()[0] == ("UTC", "UTC")


def test_country_is_a_code_in_capitals() -> None:
    form = Picked({"country": " de ", "zone": "UTC", "one": "x", "many": "y"})
    assert form.is_valid()
    assert form.cleaned_data["country"] == "DE"
    assert not Picked({"country": "EU", "zone": "UTC", "one": "x", "many": "y"}).is_valid()
