"""A table of fields, written once: a TypedDict whose entries are annotated with their bounds and
labels. API bodies, parts of files, and forms take their fields from it.

    class Settings(TypedDict, total=False):
        weight: Annotated[int, Field(ge=0, le=100), Words(_("Weight"), _("Share of requests."))]

A class that declares a field itself keeps its own. Labels and help texts are marked for translation
by `gettext_noop`: a form translates them, the API reference is in English.
"""

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from django import forms
from django.db import models
from django.utils.translation import gettext, gettext_lazy
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from lib.numbers.whole_numbers import WholeNumberField


class DateInput(forms.DateInput):
    """Shows a date in the reader's format, but always submits ISO 8601."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")


Body = TypeVar("Body", bound=BaseModel)
Form = TypeVar("Form", bound=forms.Form)


@dataclass(frozen=True, slots=True)
class Words:
    """The label of a field on a page, and the help text below it. `reference` replaces the help
    text in the API's description; `choices` has the label of each value, if there are few.
    """

    label: str = ""
    help: str = ""
    reference: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)


class TableField(NamedTuple):
    """One entry of a table: its type with and without bounds, and its annotations."""

    bounded: Any
    plain: Any
    words: Words
    least: int | None
    most: int | None
    length_max: int | None

    @property
    def optional(self) -> bool:
        return type(None) in get_args(self.plain)

    @property
    def whole(self) -> bool:
        """Return whether the field is a whole number."""
        return self.plain is int or int in get_args(self.plain)


def fields_of(table: type) -> dict[str, TableField]:
    """Return the entries of a table by name, in order."""
    plain = get_type_hints(table)
    bounded = get_type_hints(table, include_extras=True)
    return {name: _table_field(bounded[name], plain[name]) for name in plain}


def take_fields(table: type, model: type[models.Model]) -> Callable[[type[Body]], type[Body]]:
    """Add the fields of a table to a body or a part of a file, each with the default of the model's
    field of the same name.
    """

    def taken(name: str, entry: TableField) -> Any:
        description = entry.words.reference or entry.words.help or None
        return entry.bounded, Field(_default(model, name), description=description)

    return lambda kind: _with(kind, table, taken)


def show_fields(table: type) -> Callable[[type[Body]], type[Body]]:
    """Add the fields of a table to an API answer."""
    return lambda kind: _with(kind, table, lambda name, entry: (entry.plain, ...))


def offer_fields(table: type) -> Callable[[type[Form]], type[Form]]:
    """Add the fields of a table that have a label to a form."""

    def decorate(kind: type[Form]) -> type[Form]:
        offered = {
            name: _form_field(entry)
            for name, entry in fields_of(table).items()
            if entry.words.label and name not in kind.base_fields
        }
        kind.base_fields = {**offered, **kind.base_fields}
        return kind

    return decorate


def _with(
    kind: type[Body], table: type, definition: Callable[[str, TableField], Any]
) -> type[Body]:
    more: dict[str, Any] = {
        name: definition(name, entry)
        for name, entry in fields_of(table).items()
        if name not in kind.model_fields
    }
    return create_model(
        kind.__name__, __base__=kind, __module__=kind.__module__, __doc__=kind.__doc__, **more
    )


def _default(model: type[models.Model], name: str) -> Any:
    default = model._meta.get_field(name).get_default()  # type: ignore[union-attr]
    # An enumeration member becomes its plain text.
    return str(default) if isinstance(default, str) else default


def _table_field(bounded: Any, plain: Any) -> TableField:
    notes = list(_notes(bounded))

    def bound(name: str) -> Any:
        return next((getattr(note, name) for note in notes if hasattr(note, name)), None)

    return TableField(
        bounded,
        plain,
        words=next((note for note in notes if isinstance(note, Words)), Words()),
        least=bound("ge"),
        most=bound("le"),
        length_max=bound("max_length"),
    )


def _notes(hint: Any) -> Iterator[Any]:
    """Return a type's annotations, also of its non-None part."""
    if get_origin(hint) in (Union, types.UnionType):
        for arm in get_args(hint):
            yield from _notes(arm)
    elif get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        yield from _notes(inner)
        for note in notes:
            yield from note.metadata if isinstance(note, FieldInfo) else [note]


def _form_field(entry: TableField) -> forms.Field:
    words: dict[str, Any] = {
        "label": gettext_lazy(entry.words.label),
        "help_text": gettext_lazy(entry.words.help) if entry.words.help else "",
    }
    if entry.plain is bool:
        return forms.BooleanField(required=False, **words)
    if entry.words.choices:
        choices = [(value, gettext_lazy(word)) for value, word in entry.words.choices.items()]
        widget = forms.Select(attrs={"class": "input"})
        return forms.ChoiceField(choices=choices, widget=widget, **words)
    if entry.whole:
        return WholeNumberField(
            required=not entry.optional,
            min_value=entry.least,
            max_value=entry.most,
            widget=forms.TextInput(attrs={"class": "input", "inputmode": "numeric"}),
            **words,
        )
    code = {"class": "input mono", "autocomplete": "off", "autocapitalize": "none"}
    widget_of_code = forms.TextInput(attrs={**code, "spellcheck": "false"})
    return forms.CharField(
        max_length=entry.length_max, required=False, widget=widget_of_code, **words
    )


def lock_fields(form: forms.Form, variables: Mapping[str, str]) -> None:
    """Disable the fields whose values the environment sets; `variables` has the name of each."""
    for name in variables.keys() & form.fields.keys():
        form.fields[name].disabled = True
        text = gettext("Set by %(variable)s in the environment.")
        form.fields[name].help_text = text % {"variable": variables[name]}
