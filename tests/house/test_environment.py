"""Every variable that is read from the environment stands in a table of settings, and compose
passes what an operator sets."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from lib import env
from tests.deploy import files
from tests.house.parsed import nodes_of
from tests.house.test_style import ROOT, _files

# What our own processes, and what starts them, tell each other: nobody sets them by hand.
OURS = {
    "MAKELEVEL": "make sets it",
    "NO_COLOR": "https://no-color.org",
    "NOTIFY_SOCKET": "systemd sets it, for units of Type=notify",
    "STRIPE_API_BASE": "tests put another server there",
    "TRIAL_KEY": "docker-compose.trial.yml gives it to those who visit",
    "PYTHONPATH": "of Python: the launcher of the wheel adds the rooms for the children",
    "UV": "uv sets it to its own path",
    "WEIR_DEMO_KEY": "the key that make run prints, made by it",
    "WEIR_MODEL_KEY": "the local model's, made by make run",
    "WEIR_STARTED_AT": "when make run began, for the seconds that it prints",
}
READERS = {"text", "flag", "number", "optional_number", "seconds", "read_kept", "get"}
FROM = {"env", "environ", "environment"}
NAME = re.compile(r"[A-Z][A-Z_]+")


def named(node: ast.expr) -> Iterator[str]:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and NAME.fullmatch(node.value)
    ):
        yield node.value


def is_environment(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return name in FROM


def read_by(node: ast.AST) -> Iterator[str]:
    """The variables that an expression reads, see the test below."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in READERS and is_environment(node.func.value):
            yield from named(node.args[0])
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        if is_environment(node.value):
            yield from named(node.slice)
    elif isinstance(node, ast.Compare) and any(map(is_environment, node.comparators)):
        yield from named(node.left)


@cache
def everything_read() -> frozenset[str]:
    return frozenset(
        name
        for path in _files(".py")
        if path.relative_to(ROOT).parts[0] not in ("tests", "tools")
        # Reading every file whole takes seconds, and few of them name an environment.
        and re.search(rf"\b({'|'.join(FROM)})\b", path.read_text())
        for node in nodes_of(path)
        for name in read_by(node)
    )


def settings_of(document: str) -> set[str]:
    """The names that begin a line of its tables."""
    cells = re.findall(
        r"^\| ((?:`[A-Z0-9_]+`(?:, )?)+) \|", (ROOT / document).read_text(), re.MULTILINE
    )
    return {name.strip("`") for cell in cells for name in cell.split(", ")}


def test_every_form_of_reading_a_variable_is_found() -> None:
    source = """
env.text("AN_A", ""), env.flag("AN_B", True), env.read_kept("AN_C", x), os.environ.get("AN_D")
os.environ["AN_E"], environment.get("AN_F") or 1, "AN_G" in os.environ
"""
    results = {name for node in ast.walk(ast.parse(source)) for name in read_by(node)}
    assert results == {f"AN_{letter}" for letter in "ABCDEFG"}
    assert {
        "PUBLIC_URL",
        "EMAIL_FROM",
        "DATABASE_URL",
        "DRAIN_SECONDS",
        "HOST",
    } <= everything_read()


def test_every_variable_is_a_setting_of_the_documents() -> None:
    documented = settings_of("docs/operate/configure.md") | settings_of("docs/reference/command.md")
    assert everything_read() - set(OURS) - documented == set()


def test_every_variable_of_compose_is_a_setting_of_the_document() -> None:
    inputs = {
        name for _, name, _, _ in files.VARIABLE.findall((ROOT / "docker-compose.yml").read_text())
    }
    assert inputs - {""} - settings_of("docs/operate/configure.md") == set()


def test_compose_passes_every_setting_that_is_not_of_make_run() -> None:
    """With all of them left out, an empty one is as good as none."""
    services = files.compose_file()["services"]
    environment = {**services["web"]["environment"], **services["worker"]["environment"]}
    of_make_run = settings_of("docs/reference/command.md") - settings_of(
        "docs/operate/configure.md"
    )
    assert everything_read() - set(OURS) - of_make_run - set(environment) == {"STATIC_ROOT"}


def test_no_name_of_ours_is_stale() -> None:
    assert set(OURS) <= everything_read()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose passes it."""
    monkeypatch.setenv("EMAIL_FROM", "")
    assert env.text("EMAIL_FROM", "weir@localhost") == "weir@localhost"
    monkeypatch.setenv("EMAIL_FROM", "hub@example.org")
    assert env.text("EMAIL_FROM", "weir@localhost") == "hub@example.org"
