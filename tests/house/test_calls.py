"""Rows are built by name: a reader sees which value is which, and two of them cannot be swapped."""

import ast
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_POSITIONAL_MAX: Final = 6


@pytest.mark.parametrize("room", ["relay"])
def test_no_call_has_more_than_six_positional_arguments(room: str) -> None:
    long = [
        f"{path.relative_to(_ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for path in sorted((_ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and len(node.args) > _POSITIONAL_MAX
    ]
    assert long == []
