import json
from typing import Any

import pytest

from gateway.model_entries.facts import day_of, read_facts

FULL = {
    "mode": "chat",
    "max_input_tokens": 128_000,
    "max_output_tokens": "16384",
    "max_tokens": 16_384,
    "supports_function_calling": True,
    "supports_response_schema": True,
    "supports_vision": False,
    "supports_audio_input": False,
    "supports_pdf_input": True,
    "supports_reasoning": False,
    "deprecation_date": "2027-01-14",
    "input_cost_per_token": 1e-06,
    "supports_flying": True,
}


def read(entries: dict[str, Any]) -> Any:
    return read_facts(json.dumps(entries))


def test_mapped_facts_are_read_and_others_counted() -> None:
    result = read({"a": FULL, "b": {"mode": "chat", "supports_flying": False}, "note": "no model"})
    assert result.facts == {
        "a": {
            "context_max": 128_000, "output_max": 16_384, "sunset_at": "2027-01-14",
            "tools": True, "schema": True, "vision": False, "audio": False, "files": True,
            "reasoning": False,
        }
    }  # fmt: skip
    assert result.unknown == {"supports_flying": 2}


WRONG: dict[str, list[Any]] = {
    "max_input_tokens": [0, -1, 1.5, True, None, "many", "", [], {}, 10**30, "NaN", "Infinity"],
    "deprecation_date": ["", "soon", "2027-13-01", 20270114, None],
    "supports_vision": [1, 0, "true", None, []],
}


@pytest.mark.parametrize(("key", "value"), [(key, one) for key in WRONG for one in WRONG[key]])
def test_invalid_facts_are_none(key: str, value: Any) -> None:
    assert read({"a": {"mode": "chat", key: value}}).facts == {}


def test_a_day() -> None:
    assert str(day_of("2027-01-14")) == "2027-01-14"
    assert day_of("2027-01-14T00:00") is None
