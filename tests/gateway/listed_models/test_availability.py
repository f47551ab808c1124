"""What a model's dates make of it today."""

import datetime as dt
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.listed_models.public_models import PublicModel, availability_of
from lib import clock

PAST, COMING = -dt.timedelta(hours=1), dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("deprecated", "sunset", "target", "standing"),
    [
        (None, None, "", "current"),
        (None, None, "m-2", "alias"),
        (COMING, COMING, "", "current"),
        (PAST, None, "", "deprecated"),
        (PAST, COMING, "m-2", "deprecated"),
        (None, PAST, "", "retired"),
        (PAST, PAST, "m-2", "retired"),
    ],
)
def test_own_dates_of_a_model_decide_before_its_alias(
    deprecated: dt.timedelta | None, sunset: dt.timedelta | None, target: str, standing: str
) -> None:
    now = clock.now()
    entry = SimpleNamespace(
        deprecated_at=None if deprecated is None else now + deprecated,
        sunset_at=None if sunset is None else now + sunset,
    )
    model: Any = SimpleNamespace(entry=entry, target=target)
    assert availability_of(cast(PublicModel, model)) == standing


def test_model_without_an_entry_is_current() -> None:
    model: Any = SimpleNamespace(entry=None, target="")
    assert availability_of(cast(PublicModel, model)) == "current"
