"""F16: a wrong byte in a text makes msgspec raise UnicodeDecodeError, which is no DecodeError. So
whoever catches the one catches the other, by `NOT_JSON` of `dialects/json/not_json.py`."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.house.parsed import nodes_of
from tests.house.test_style import ROOMS, ROOT

NARROW = {"DecodeError", "MsgspecError", "ValidationError", "JSONDecodeError"}
WIDE = {"NOT_JSON", "UnicodeDecodeError", "UnicodeError", "ValueError"}
_CHECKED = "`read_body` has checked the bytes"
_CONVERTED = "values are converted, and no bytes are read"
# Where no wrong byte can arrive, by the file.
EXCEPTIONS = {
    "content/detectors/registry.py": _CONVERTED,
    "dialects/endpoints/embeddings.py": _CHECKED,
    "dialects/endpoints/moderations.py": _CHECKED,
    "dialects/json/body.py": "the next clause has NOT_JSON",
    "dialects/json/fallback_models.py": _CHECKED,
    "dialects/json/raw_json.py": "the next clause has NOT_JSON",
    "dialects/openai/request/read.py": _CHECKED,
    "gateway/channels/overrides/overrides.py": _CONVERTED,
    "gateway/channels/overrides/rules.py": _CHECKED,
    "gateway/channels/passthrough/passthrough.py": _CONVERTED,
    "playground/panel/json_text.py": "a form's text is decoded",
    "relay/health/health_sharing.py": "the database returns decoded texts",
    "relay/ledger/spool.py": "a checksum has shown that this product wrote the bytes",
    "relay/prompts/prompts.py": _CHECKED,
}


def names_in(node: ast.AST) -> Iterator[str]:
    """The names of what a clause catches; those of msgspec and json without their module.
    Forms have a ValidationError too."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute):
            if isinstance(one.value, ast.Name) and one.value.id in ("msgspec", "json"):
                yield one.attr
        elif isinstance(one, ast.Name) and one.id != "ValidationError":
            yield one.id


def caught_by(node: ast.AST) -> set[str]:
    """What a clause, or a call of `suppress`, catches; nothing for any other node."""
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        return set(names_in(node.type))
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return {name for argument in node.args for name in names_in(argument)}
    return set()


def is_narrow(node: ast.AST) -> bool:
    caught = caught_by(node)
    return not NARROW.isdisjoint(caught) and WIDE.isdisjoint(caught)


def narrow_in(path: Path) -> list[int]:
    """The lines that catch what is no JSON, but no wrong byte."""
    source = path.read_text()
    if not any(name in source for name in NARROW):
        return []
    return [node.lineno for node in nodes_of(path) if is_narrow(node)]  # type: ignore[attr-defined]


@cache
def narrow_places() -> dict[str, list[int]]:
    paths = [path for room in (*ROOMS, "stack") for path in sorted((ROOT / room).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): lines for path in paths if (lines := narrow_in(path))}


def test_clause_about_json_catches_a_wrong_byte_too() -> None:
    unknown = {file: lines for file, lines in narrow_places().items() if file not in EXCEPTIONS}
    assert not unknown, f"use NOT_JSON: {unknown}"


def test_every_exception_of_wrong_bytes_is_needed() -> None:
    assert EXCEPTIONS.keys() == narrow_places().keys()
    assert {file: lines for file, lines in narrow_places().items() if len(lines) > 1} == {}


def test_narrow_clauses_are_recognised() -> None:
    for clause, narrow in {
        "msgspec.DecodeError": True,
        "(msgspec.DecodeError, RecursionError)": True,
        "(VaultError, msgspec.MsgspecError)": True,
        "DecodeError": True,
        "json.JSONDecodeError": True,
        "(msgspec.DecodeError, ValueError)": False,
        "(VaultError, *NOT_JSON)": False,
        "forms.ValidationError": False,
    }.items():
        tried = ast.parse(f"try:\n    pass\nexcept {clause}:\n    pass\n")
        assert any(map(is_narrow, ast.walk(tried))) == narrow, clause
        inside = ast.parse(f"contextlib.suppress{clause if clause[0] == '(' else f'({clause})'}")
        assert any(map(is_narrow, ast.walk(inside))) == narrow, clause
