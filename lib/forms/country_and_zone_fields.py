"""Countries and time zones as choices, in the language of the page (CLDR, by Babel)."""

import unicodedata
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from babel import Locale
from django import forms
from django.utils.translation import get_language, gettext_lazy, to_locale

from lib.forms.picker import PickSelect

# CLDR codes that are not countries.
_NO_COUNTRIES: Final = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
_PLACES: Final = {
    *("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic"),
    *("Australia", "Europe", "Indian", "Pacific"),
}


class CountryField(forms.ChoiceField):
    """A country by its two-letter code. `none` is the label for no country."""

    def __init__(self, *, none: Any = "", **over: Any) -> None:
        def choices() -> list[tuple[str, Any]]:
            return [("", none), *_countries(get_language() or "en")]

        widget = PickSelect({"autocomplete": "country"}, notes=_country_notes)
        super().__init__(
            **{"choices": choices, "required": False, "widget": widget, **over},
            error_messages={"invalid_choice": gettext_lazy("Choose from the list.")},
        )

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).strip().upper()


class ZoneField(forms.ChoiceField):
    """A time zone named after a place, or UTC. A browser offers its user's own zone first."""

    def __init__(self, **over: Any) -> None:
        choices = zone_choices
        super().__init__(**{"choices": choices, "initial": "UTC", "widget": PickSelect(), **over})

    def valid_value(self, value: Any) -> bool:
        # The API also accepts zones that are not offered.
        return value in zones()


@cache
def zones() -> frozenset[str]:
    """Return the names of all zones: `available_timezones` reads them from the disk each time."""
    return frozenset(available_timezones())


@cache
def zone_choices() -> list[tuple[str, str]]:
    """Return the zones as choices."""
    placed = [name for name in zones() if name.partition("/")[0] in _PLACES]
    return [(name, name.replace("_", " ")) for name in ("UTC", *sorted(placed))]


@cache
def _countries(language: str) -> list[tuple[str, str]]:
    """Return codes and names, in the order of the English names."""
    names, english = _territories(language), _territories("en")
    return sorted(names.items(), key=lambda country: _sort_key(english[country[0]]))


def country_name(code: str) -> str:
    """Return a country's name in the active language, or the code of an unknown one."""
    return _territories(get_language() or "en").get(code, code)


def _country_notes() -> dict[str, str]:
    """Return a description of each country: its code, and its English name on pages in other
    languages."""
    return _notes(get_language() or "en")


@cache
def _notes(language: str) -> dict[str, str]:
    english = _territories("en")
    own = language.startswith("en")
    return {code: code if own else f"{name} · {code}" for code, name in english.items()}


def _territories(language: str) -> dict[str, str]:
    territories = Locale.parse(to_locale(language)).territories
    return {
        code: name
        for code, name in territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES
    }


def _sort_key(name: str) -> str:
    """Return a name without accents, so that Åland sorts under A."""
    return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
