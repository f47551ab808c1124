"""The table of paths as a person read it: which paths lead to which row (`table.txt`)."""

import re
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from relay.endpoints.table import find_endpoint, listed_rows, read_invocation
from relay.endpoints.task_services import SERVICE_ROWS
from relay.front.request import Endpoint
from tests.support.golden_texts import GoldenTexts

GOLDEN: Final = GoldenTexts(Path(__file__).with_name("table.txt"))
# The paths of task services and of extensions have tests of their own.
OTHERS: Final = {path for rows in SERVICE_ROWS.values() for path in rows.documented}


def test_each_path_leads_to_its_row() -> None:
    paths = defaultdict[str, list[str]](list)
    for path, row in listed_rows().items():
        if path in OTHERS:
            continue
        assert find_endpoint(example(path)) == row, path
        invocation = read_invocation(row, example(path), (), b"")
        named = " ".join(f"{name}={value}" for name, value in changed(invocation.target))
        title = f"row, {described(row)}; {type(invocation.codec).__name__} {named}"
        paths[title.rstrip()].append(path)
    GOLDEN.check("row", {title: "\n".join(sorted(its)) for title, its in paths.items()})


def example(path: str) -> str:
    return re.sub(r"\{(\w+)\}", r"\1-1", path)


def changed(target: Any) -> list[tuple[str, Any]]:
    """What a path says in addition to the body."""
    names = ("model", "stream", "array", "task")
    return [(name, value) for name in names if (value := getattr(target, name))]


def described(row: Endpoint) -> str:
    """The fields of a row that differ from those of most rows."""
    return " ".join(
        f"{field.name}={shown(value)}"
        for field in fields(row)
        if (value := getattr(row, field.name)) != field.default
    )


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, Endpoint):
        return f"({described(value)})"
    if isinstance(value, str | int | bytes):
        return str(value)
    if callable(value):
        return str(value.__name__)
    module = vars(sys.modules[type(value).__module__])
    return next((name for name, one in module.items() if one is value), type(value).__name__)
