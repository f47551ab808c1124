"""An instant in a body or query of the API names its offset, and becomes one in UTC."""

import datetime as dt
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import pytest
from pydantic import AwareDatetime, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tests.house.test_access import operations
from tests.house.test_whole_numbers import models_in

# Without an offset, and beyond the year 9999 in UTC.
REFUSED: Final = ("2026-12-01T00:00:00", "9999-12-31T23:59:59-01:00")
# RFC 3339 permits it, Postgres does not.
FAR: Final = "2026-12-01T00:00:00+23:59"


def _holds_instant(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, list, Annotated):
        return any(_holds_instant(part) for part in get_args(annotation))
    return annotation in (dt.datetime, AwareDatetime)


def instants() -> dict[str, FieldInfo]:
    results = {}
    for _, operation in operations():
        for outer in operation.models:
            for model in models_in(outer, set()):
                for name, field in model.model_fields.items():
                    if _holds_instant(field.annotation):
                        results[f"{model.__name__}.{name}"] = field
    return results


INSTANTS: Final = instants()


def test_some_exist() -> None:
    assert {"LogRuleIn.ends_at", "LogRuleChange.ends_at", "KeyIn.expires_at"} <= INSTANTS.keys()


@pytest.mark.parametrize("name", sorted(INSTANTS))
def test_instant_has_an_offset_and_is_stored_in_utc(name: str) -> None:
    annotated: Any = Annotated[INSTANTS[name].annotation, INSTANTS[name]]
    wanted = TypeAdapter[Any](annotated)
    assert wanted.validate_python(FAR).utcoffset() == dt.timedelta()
    for value in REFUSED:
        with pytest.raises(ValidationError):
            wanted.validate_python(value)
