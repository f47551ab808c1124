"""What each form asks of a person: which fields it needs, what they begin with, how much they take
and what they offer; and that its dialog stays open when it is refused.

A form that opens with another period, or that refuses to be sent without a text that was optional,
works for whoever fills in everything. So `form_fields.txt` has each form with its fields, one that
must be filled in with an asterisk. Whoever changes one says so there."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django import forms

from tests.config.test_same_bounds import every_form
from tests.house.parsed import nodes_of
from tests.house.test_style import ROOMS, ROOT

_TABLE: Final = Path(__file__).with_name("form_fields.txt")
# Longer lists are those of code, such as endpoints and zones.
_LISTED_MAX: Final = 12
# A form without fields is never refused: its dialog asks for a confirmation.
_CONFIRM: Final = {
    "accounts/organisations/operator_views.py person_reset_factors",
}


def rows() -> Iterator[str]:
    for form in every_form():
        fields = getattr(form, "base_fields", {})
        inherited = [getattr(base, "base_fields", {}) for base in form.__mro__[1:]]
        own = [
            f"{name}{_asked(field)}"
            for name, field in fields.items()
            if not any(other.get(name) is field for other in inherited)
        ]
        if own:
            yield f"{form.__module__.replace('.', '/')}.py {form.__name__}: {'; '.join(own)}"


def _asked(field: forms.Field) -> str:
    first = "…" if callable(field.initial) else field.initial
    return "".join(
        (
            "*" if field.required else "",
            "" if first in (None, "") else f" ={first}",
            _ends(field),
            _offered(field),
        )
    )


def _ends(field: forms.Field) -> str:
    least, most = getattr(field, "min_value", None), getattr(field, "max_value", None)
    longest = getattr(field, "max_length", None)
    of_number = "" if least is None and most is None else f" {least}..{most}"
    return of_number + ("" if longest is None else f" <={longest}")


def _offered(field: forms.Field) -> str:
    if isinstance(field, forms.ModelChoiceField):
        return ""  # rows of the database
    values = [str(value) for value, _ in getattr(field, "choices", None) or ()]
    if len(values) > _LISTED_MAX:
        return " {…}"
    return f" {{{'|'.join(values)}}}" if values else ""


def test_each_form_asks_for_what_its_row_names() -> None:
    assert sorted({*rows()}) == _TABLE.read_text().splitlines()


def _unrefused() -> Iterator[str]:
    """Each function with a form whose dialog does not learn whether the form was refused."""
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        if "render_dialog(" not in path.read_text():
            continue
        for function in nodes_of(path):
            if isinstance(function, ast.FunctionDef) and "form" in _names(function):
                calls = (one for one in ast.walk(function) if isinstance(one, ast.Call))
                if any(
                    getattr(call.func, "id", "") == "render_dialog"
                    and all(keyword.arg != "refused" for keyword in call.keywords)
                    for call in calls
                ):
                    yield f"{path.relative_to(ROOT)} {function.name}"


def _names(function: ast.FunctionDef) -> set[str]:
    used = {one.id for one in ast.walk(function) if isinstance(one, ast.Name)}
    return used | {one.arg for one in [*function.args.args, *function.args.kwonlyargs]}


def test_dialog_of_a_form_stays_when_it_is_refused() -> None:
    """Only with status 422 does a dialog stay open, with what is wrong in it."""
    assert {*_unrefused()} == _CONFIRM
