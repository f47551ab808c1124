from typing import Any
from uuid import UUID

import pytest

from gateway.channels.overrides.condition_rules import ScreenedRequest, compile_conditions, normal
from gateway.channels.overrides.conditions import ConditionFields

TEAM, OWNER, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
PLANS = {"pro": 7}
HOLDERS = {"acme": OWNER, "acme/core": TEAM, "other": OTHER}
ASKED = ScreenedRequest(
    7, (TEAM, OWNER), "search", ("beta", "eu"), "c-1", 1000, {"image", "stream"}
)


@pytest.mark.parametrize(
    ("quantities", "reason"),
    [
        ({"plans": ["pro"]}, None),
        ({"plans": ["lite", "pro"]}, None),
        ({"plans": ["lite"]}, "plan"),
        ({"teams": ["acme/core"]}, None),
        ({"teams": ["acme"]}, None),
        ({"teams": ["other"]}, "team"),
        ({"teams": ["gone"]}, "team"),
        ({"projects": ["search"], "tags": ["eu"], "customers": ["c-1", "c-2"]}, None),
        ({"projects": ["chat"]}, "label"),
        ({"tags": ["alpha"]}, "label"),
        ({"customers": ["c-2"]}, "label"),
        ({"prompt_min": 1000, "prompt_max": 1000}, None),
        ({"prompt_min": 1001}, "prompt_length"),
        ({"prompt_max": 999}, "prompt_length"),
        ({"prompt_min": 0}, None),
        ({"requires": ["image", "stream"], "excludes": ["tools"]}, None),
        ({"requires": ["image", "tools"]}, "content"),
        ({"excludes": ["stream"]}, "content"),
        ({"plans": ["pro"], "teams": ["other"], "tags": ["alpha"]}, "team"),
    ],
)
def test_all_stated_conditions_apply(quantities: dict[str, Any], reason: str | None) -> None:
    conditions = compile_conditions(normal(quantities), PLANS, HOLDERS)
    assert conditions is not None
    assert conditions.why_not(ASKED) == reason


def test_customer_without_a_plan_matches_no_plan() -> None:
    conditions = compile_conditions({"plans": ["pro"]}, PLANS, HOLDERS)
    assert conditions is not None
    assert conditions.why_not(ASKED._replace(price_plan_id=None)) == "plan"


def test_empty_conditions_are_not_stored() -> None:
    values = {"plans": [], "tags": ["b", "a", "b"], "prompt_min": None, "prompt_max": 0}
    assert normal(values) == {"tags": ["a", "b"], "prompt_max": 0}
    assert compile_conditions(normal({"plans": []}), PLANS, HOLDERS) is None


def test_changed_conditions_are_written_as_one_entry() -> None:
    form = ConditionFields({"plans": "vip", "prompt_min": "5", "requires": ["image"]})
    assert form.is_valid(), form.errors
    changed = {**form.cleaned_data, "weight": 7}
    form.take_conditions(changed)
    assert changed.keys() == {"weight", "conditions"}
    conditions = changed["conditions"]
    assert (conditions["plans"], conditions["prompt_min"]) == (["vip"], 5)
    assert conditions["requires"] == ["image"]
