"""The errors that the description of each operation declares."""

from typing import Any

import pytest

from lib.api.openapi import add_additional_properties, errors_of


@pytest.mark.parametrize(
    ("operation", "errors"),
    [
        ({}, [400, 401, 403, 404]),
        ({"parameters": []}, [400, 401, 403, 404]),
        ({"parameters": [{"name": "id"}]}, [400, 401, 403, 404, 422]),
        ({"requestBody": {}}, [400, 401, 403, 404, 409, 413, 422]),
    ],
)
def test_operation_declares_the_errors_of_what_it_reads(
    operation: dict[str, Any], errors: list[int]
) -> None:
    assert errors_of(operation) == errors


def test_pattern_of_names_is_one_that_generators_read() -> None:
    node = {
        "items": [
            {"patternProperties": {"^a": {"type": "string"}}, "propertyNames": {"maxLength": 3}}
        ]
    }
    add_additional_properties(node)
    assert node == {
        "items": [
            {
                "additionalProperties": {"type": "string"},
                "propertyNames": {"maxLength": 3, "pattern": "^a"},
            }
        ]
    }
