"""Where `apply` reads its file and the secrets that the file names, and how it reports problems."""

import io
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.management import CommandError, call_command

from config.apply.difference import Difference
from config.apply.loading import Unresolved
from config.apply.yaml_source import FileInvalid, Problem
from config.management.commands import apply

BESIDE = {"key": b" sk-1 \n", "empty": b" \n", "zero": b"sk\x00", "bytes": b"\xff"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in BESIDE.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("THERE", "sk-2")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("ABSENT", raising=False)
    return tmp_path


@pytest.mark.parametrize(("reference", "value"), [("env:THERE", "sk-2"), ("file:key", "sk-1")])
def test_secret_is_read_beside_the_file_that_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reference: str, value: str
) -> None:
    """Not beside the process: a preparation has a folder of its own."""
    monkeypatch.chdir("/")
    assert apply._resolve(folder, reference) == value
    assert apply._resolve(folder / "deeper" / "..", f"file:{folder}/key") == "sk-1"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:ABSENT", "the environment variable ABSENT is not set"),
        ("env:EMPTY", "the environment variable EMPTY is not set"),
        ("file:none", "the file none cannot be read: "),
        ("file:bytes", "the file bytes cannot be read: "),
        ("file:empty", "the file empty is empty"),
        ("file:zero", "the file zero contains a zero byte"),
    ],
)
def test_secret_that_is_not_there_is_named(folder: Path, reference: str, words: str) -> None:
    with pytest.raises(Unresolved) as missing:
        apply._resolve(folder, reference)
    assert str(missing.value).startswith(words)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the command loads and applies, in place of an installation."""
    calls: list[tuple[Any, ...]] = []
    note = SimpleNamespace(path=("settings",), message="look at this")
    source = SimpleNamespace(problem=partial(Problem, 3))

    def load(text: str, resolve: Any) -> Any:
        calls.append((text, resolve.args))
        if text == "wrong":
            raise FileInvalid([Problem(9, ("b",), "no"), Problem(2, ("a", 0), "nor this")])
        return SimpleNamespace(source=source)

    def write(loaded: Any, **options: bool) -> Any:
        calls.append((loaded.source, options))
        return Mock(spec=Difference, changes=(), notes=(note,), nothing=False)

    monkeypatch.setattr(apply, "load", load)
    monkeypatch.setattr(apply, "_apply", write)
    monkeypatch.setattr(apply, "summary", lambda difference: "~ settings")
    monkeypatch.setattr(apply, "serialize_difference", lambda difference: [{"kind": "settings"}])
    return calls


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("apply", *words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("words", "prune", "dry_run", "told"),
    [
        ([], False, False, "~ settings\nnote: {file}:3: settings: look at this\n"),
        (["--prune"], True, False, "~ settings\nnote: {file}:3: settings: look at this\n"),
        (["--dry-run"], False, True, "~ settings\nnote: {file}:3: settings: look at this\n"
         "nothing was written (--dry-run)\n"),
    ],
)  # fmt: skip
def test_options_reach_the_writing_and_are_reported(
    folder: Path, asked: list[tuple[Any, ...]], words: list[str], prune: bool, dry_run: bool,
    told: str,
) -> None:  # fmt: skip
    file = folder / "a.yaml"
    file.write_text("right")
    assert run(str(file), *words) == told.format(file=file)
    assert asked[0] == ("right", (folder,))
    assert asked[1][1] == {"prune": prune, "dry_run": dry_run}
    note = {"file": str(file), "line": 3, "path": "settings", "message": "look at this"}
    assert json.loads(run(str(file), *words, "--json")) == {
        "dry_run": dry_run, "changes": [{"kind": "settings"}], "notes": [note],
    }  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True])
def test_problems_of_standard_input_are_an_error_in_order_of_lines(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"wrong")))
    out = io.StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("apply", "-", *(["--json"] if as_json else []), stdout=out)
    assert str(refused.value) == "standard input:2: a[0]: nor this\nstandard input:9: b: no"
    errors = json.loads(out.getvalue())["errors"] if as_json else []
    assert [(one["line"], one["path"]) for one in errors] == (
        [(2, "a[0]"), (9, "b")] if as_json else []
    )
    assert bool(out.getvalue()) is as_json
    assert len(asked) == 1
