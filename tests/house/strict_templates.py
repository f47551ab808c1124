"""A variable that a template prints, and that does not exist, fails."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from django.template import engines


class _Missing(str):
    """What Django prints instead of a variable that does not exist: `%s` is its name. What is asked
    by `{% if %}`, `{% for %}` or `{% firstof %}` may be missing: Django prints nothing for it."""

    __slots__ = ()

    def __mod__(self, variable: Any) -> str:
        # No exception, which a page may catch.
        pytest.fail(f"{_place(sys._getframe(1))}: {variable} does not exist", pytrace=False)


def _place(frame: FrameType | None) -> str:
    """The template and the line of what is rendered."""
    while frame is not None:
        node: Any = frame.f_locals.get("self")
        if (origin := getattr(node, "origin", None)) is not None and hasattr(node, "token"):
            return f"{origin.template_name}:{node.token.lineno}"
        frame = frame.f_back
    return "a template"


@contextmanager
def strict_templates() -> Iterator[None]:
    django: Any = engines["django"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(django.engine, "string_if_invalid", _Missing("%s"))
        yield
