"""Countries and time zones as choices."""

import re

import pytest
from django import forms
from django.utils import translation

from lib.forms.country_and_zone_fields import CountryField, ZoneField


class Form(forms.Form):
    country = CountryField(none="–")
    zone = ZoneField()


@pytest.mark.parametrize(
    ("language", "name", "note"),
    [("en", "Germany", "DE"), ("zh-hans", "德国", "Germany · DE")],
)
def test_countries_are_named_in_the_language_of_the_page(
    language: str, name: str, note: str
) -> None:
    with translation.override(language):
        page = str(Form({"country": "DE"})["country"])
    option = re.search(r'<option value="DE"([^>]*)>([^<]*)<', page)
    assert option is not None
    assert (option[2].strip(), "selected" in option[1]) == (name, True)
    assert f'data-note="{note}"' in option[1]
    codes = re.findall(r'<option value="([^"]*)"', page)
    assert len(codes) > 240
    assert codes[:3] == ["", "AF", "AX"]
    assert not {"EU", "ZZ", "XA", "001"} & set(codes)


@pytest.mark.parametrize(("text", "code"), [("de", "DE"), (" FR ", "FR"), ("", "")])
def test_a_country_is_its_code(text: str, code: str) -> None:
    form = Form({"country": text, "zone": "UTC"})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["country"] == code


def test_unknown_country_is_rejected() -> None:
    form = Form({"country": "QQ", "zone": "Europe/Atlantis"})
    assert set(form.errors) == {"country", "zone"}


def test_stored_unoffered_zone_stays() -> None:
    form = Form(initial={"zone": "US/Pacific"})
    assert '<option value="US/Pacific" selected>US/Pacific</option>' in str(form["zone"])
    assert Form({"zone": "US/Pacific"}).is_valid()
    offered = re.findall(r'<option value="([^"]*)"', str(Form()["zone"]))
    assert {"UTC", "Europe/Berlin", "America/La_Paz"} <= set(offered)
    assert not {"Etc/GMT+3", "localtime", "EST"} & set(offered)
