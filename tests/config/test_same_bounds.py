"""What a form takes, the management API and the file of `weir apply` take too: a setting has one
range, at whichever door it comes in."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django import forms
from django.urls import get_resolver
from pydantic import BaseModel

from config.api.api import api
from config.apply import file_format
from tests.house.test_access import addresses
from tests.house.test_style import ROOMS

# The least and the most of a number, or how long a text may be.
Bounds = tuple[object, object, object]
Door = Mapping[str, set[Bounds]]

# What has the same name and is something else.
OF_PAGES: Final = {
    "amount": "a decimal: its value is bounded, and its letters only so far as it is read",
    "included": "a decimal, as above",
    "password": "a person's; the others are a mail server's",
    "units": "lines of several terms; the others are one number",
    "value": "a number of days or an amount, by which setting it is; the others are texts",
}


def every_form() -> Iterator[type[forms.BaseForm]]:
    # Whoever knows all addresses has imported all forms.
    assert len([*addresses(get_resolver())]) > 300
    left = [forms.BaseForm]
    while left:
        for form in left.pop().__subclasses__():
            left.append(form)
            if form.__module__.partition(".")[0] in ROOMS:
                yield form


def of_pages() -> Door:
    found = defaultdict[str, set[Bounds]](set)
    for form in every_form():
        for name, field in getattr(form, "base_fields", {}).items():
            ends = (getattr(field, end, None) for end in ("min_value", "max_value", "max_length"))
            found[name].add(tuple(ends))  # type: ignore[arg-type]
    return found


def of_schemas(schemas: Mapping[str, Any]) -> Door:
    found = defaultdict[str, set[Bounds]](set)
    for schema in schemas.values():
        for name, value in schema.get("properties", {}).items():
            said: dict[str, Any] = {}
            for part in (value, *value.get("anyOf", ())):
                said |= part
            ends = (said.get(end) for end in ("minimum", "maximum", "maxLength"))
            found[name].add(tuple(ends))  # type: ignore[arg-type]
    return found


def of_api() -> Door:
    return of_schemas(api.get_openapi_schema()["components"]["schemas"])


def of_file() -> Door:
    schemas: dict[str, Any] = {}
    for model in vars(file_format).values():
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel:
            schema = model.model_json_schema()
            schemas |= {model.__name__: schema} | schema.get("$defs", {})
    return of_schemas(schemas)


def bounded(bounds: set[Bounds]) -> set[Bounds]:
    return {one for one in bounds if any(end is not None for end in one)}


def test_form_takes_what_the_api_and_the_file_take() -> None:
    pages, api_, file = of_pages(), of_api(), of_file()
    shared = [name for name in pages if bounded(pages[name]) and (name in api_ or name in file)]
    wrong = {}
    for name in sorted(shared):
        others = bounded(api_.get(name, set()) | file.get(name, set()))
        if others and name not in OF_PAGES and (apart := bounded(pages[name]) - others):
            wrong[name] = (apart, others)
    assert wrong == {}
    assert len(shared) > 20
