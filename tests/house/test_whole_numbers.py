"""A whole number has one form in every body, query and form; what int() reads besides is none."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from django import forms
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tests.house.test_access import operations
from tests.house.test_style import ROOMS

TYPED = ["1_000", "1_0", "٥", "５", "1e3", "0x10", "1.5", "1 0", "+5", "9" * 5000]
IN_JSON = [*TYPED, "5", " 5 ", True, 5.0, 5.5]


def _holds_int(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, list, Annotated):
        return any(_holds_int(part) for part in get_args(annotation))
    return annotation is int


def models_in(model: Any, seen: set[Any]) -> Iterator[type[BaseModel]]:
    """A model and all that its fields name."""
    if isinstance(model, type) and issubclass(model, BaseModel) and model not in seen:
        seen.add(model)
        yield model
        for field in model.model_fields.values():
            yield from models_in(field.annotation, seen)
    for part in get_args(model):
        yield from models_in(part, seen)


def whole_fields(source: str) -> dict[str, FieldInfo]:
    results = {}
    for _, operation in operations():
        for outer in operation.models:
            if outer.__ninja_param_source__ == source:
                for model in models_in(outer, set()):
                    for name, field in model.model_fields.items():
                        if _holds_int(field.annotation):
                            results[f"{model.__name__}.{name}"] = field
    return results


BODIES, QUERIES = whole_fields("body"), whole_fields("query")


def forms_of_the_product() -> Iterator[type[forms.Form]]:
    for room in ROOMS:
        for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
            if module.name.endswith("forms"):
                importlib.import_module(module.name)
    waiting = [forms.Form]
    for one in waiting:
        waiting += one.__subclasses__()
        if one.__module__.split(".")[0] in ROOMS:
            yield one


FIELDS = {
    f"{form.__name__}.{name}": field
    for form in forms_of_the_product()
    for name, field in form.base_fields.items()
    if isinstance(field, forms.IntegerField)
}


def test_some_of_each_exist() -> None:
    assert {"BatchIn.count", "KeyIn.rpm", "KeyRotation.grace_hours"} <= set(BODIES)
    assert any(name.endswith(".limit") for name in QUERIES)
    assert {"BatchForm.count", "BatchForm.max_uses"} <= set(FIELDS)


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotated: Any = Annotated[field.annotation, field]
    return TypeAdapter(annotated)


def _takes(wanted: TypeAdapter[Any], value: Any) -> bool:
    for item in (value, [value]):
        with suppress(ValidationError):
            wanted.validate_python(item)
            return True
    return False


# Text there is the name of a label.
LABELLED = {"RenderIn.version"}


@pytest.mark.parametrize("name", sorted(BODIES.keys() - LABELLED))
def test_whole_number_in_a_body_is_a_json_number(name: str) -> None:
    wanted = _adapter(BODIES[name])
    assert [value for value in IN_JSON if _takes(wanted, value)] == []


@pytest.mark.parametrize("name", QUERIES)
def test_whole_number_in_a_query_is_digits(name: str) -> None:
    wanted = _adapter(QUERIES[name])
    assert [value for value in (*TYPED, " 5 ") if _takes(wanted, value)] == []
    wanted.validate_python("5")


@pytest.mark.parametrize("name", FIELDS)
def test_whole_number_in_a_form_is_digits(name: str) -> None:
    taken = []
    for value in TYPED:
        with suppress(forms.ValidationError):
            taken.append((value, FIELDS[name].clean(value)))
    assert taken == []
