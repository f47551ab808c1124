"""Fields whose values are chosen from a list. With scripts they show chips and a searchable list,
without them a plain select or text field. The server always receives the plain field's value.

A short list of choices is part of the page (PickSelect). For a long list, or if patterns are also
valid, a view returns the choices for the typed text (PickText, `answer_choices`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.functional import Promise

CHOICES_MAX: Final = 50
"""The most choices of one response."""
TEXT_MAX: Final = 200

_PLAIN: Final = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of the list. `note` is a line of description. `mark` is shown on the chip too, and
    `tone` colours it: "warn" for a doubtful choice."""

    value: str
    label: str
    note: str = ""
    mark: str = ""
    tone: str = ""


Describe: TypeAlias = Callable[[Sequence[str]], Iterable[Choice]]


def split_words(text: str) -> list[str]:
    """Return the words of a field with several values, each once."""
    return [word for word in dict.fromkeys(re.split(r"[\s,]+", text)) if word]


def typed_text(request: HttpRequest) -> str:
    """Return the text that was typed into a picker."""
    return request.GET.get("q", "").replace("\x00", "").strip()[:TEXT_MAX]


def answer_choices(request: HttpRequest, choices: Iterable[Choice], empty: str) -> HttpResponse:
    """Return the rows of a list; `empty` is the text for an empty list."""
    rows = list(choices)[:CHOICES_MAX]
    return render(request, "components/_choices.html", {"choices": rows, "empty": empty})


class _Picker(forms.Widget):
    """A widget with chips and a list next to the plain field."""

    many = False
    strict = False
    url: str | Promise = ""
    beside = ""

    def use_required_attribute(self, initial: Any) -> bool:
        # With scripts, the plain field is hidden, so a browser could not point to it.
        return False

    def chosen(self, name: str, value: Any) -> Iterable[Choice]:
        """Return the choices of the field's value."""
        raise NotImplementedError

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        context = {
            "plain": super().render(name, value, attrs, renderer),
            "id": (attrs or {}).get("id") or f"id_{name}",
            "chosen": self.chosen(name, value),
            "blank": Choice("", ""),
            "disabled": (attrs or {}).get("disabled"),
            "picker": self,
            # A required field with one value can be replaced, but not emptied.
            "fixed": (attrs or {}).get("disabled") or (self.is_required and not self.many),
        }
        return render_to_string("components/picker_field.html", context)


class PickText(_Picker, forms.TextInput):
    """A text field whose choices come from `url`. `beside` names another field of the form, which
    is sent with the typed text; when the other field changes, this one is emptied. `strict` allows
    only listed choices, for forms that cannot check the value."""

    def __init__(
        self,
        attrs: Mapping[str, Any] | None = None,
        *,
        many: bool = False,
        strict: bool = False,
        url: str | Promise = "",
        beside: str = "",
        describe: Describe | None = None,
    ) -> None:
        super().__init__({**_PLAIN, **(attrs or {})})
        self.many, self.strict = many, strict
        self.url, self.beside, self.describe = url, beside, describe

    def chosen(self, name: str, value: Any) -> Iterable[Choice]:
        text = (value or "").strip()
        values = split_words(text) if self.many else [text] if text else []
        if self.describe is None:
            return [Choice(value, value) for value in values]
        return self.describe(values)


class PickSelect(_Picker, forms.Select):
    """A select with the choices in the page. `notes` describe values; a search also finds them."""

    def __init__(
        self,
        attrs: Mapping[str, Any] | None = None,
        choices: Any = (),
        *,
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        super().__init__(dict(attrs or {}), choices)
        self.notes = notes

    def chosen(self, name: str, value: Any) -> Iterable[Choice]:
        return [
            Choice(str(option["value"]), str(option["label"]))
            for option in self.options(name, self.format_value(value))
            if option["selected"] and option["value"]
        ]

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> Any:
        # A stored value that is no longer offered stays until another one is chosen.
        offered = {str(choice) for choice, _ in self.choices}
        missing = [one for one in value if one and one not in offered]
        groups = super().optgroups(name, value, attrs)
        for index, one in enumerate(missing, len(groups)):
            option = self.create_option(name, one, one, selected=True, index=index)
            groups.append((None, [option], index))
        return groups

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if note := self.notes().get(str(value)):
            option["attrs"]["data-note"] = note
        return option


class PickSelectMultiple(PickSelect, forms.SelectMultiple):
    """A multiple select with the choices in the page."""

    many = True
