"""Without the extension, Weir starts and has no import."""

from contextlib import closing
from pathlib import Path

from tests.runner.databases import own_database
from tests.support.extensions import FreshHub, ask

OFF = {"EXTENSIONS_OFF": "import_hubs"}
QUESTION = """
from click.testing import CliRunner
from django.core.management import get_commands
from stack.command import weir
print("import_from" in get_commands())
print("import " in CliRunner().invoke(weir, ["--help"]).output)
codes = [CliRunner().invoke(weir, [name]).exit_code for name in ("import", "import_from")]
print(*codes)
"""


def test_command_is_there_only_with_the_extension(tmp_path: Path) -> None:
    assert ask(tmp_path, QUESTION.rpartition("print")[0]).split() == ["True", "True"]
    assert ask(tmp_path, QUESTION, **OFF).split() == ["False", "False", "2", "2"]


def test_hub_starts_without_the_extension() -> None:
    with own_database("no_imports") as dsn, closing(FreshHub(dsn, OFF)) as hub:
        hub.settings()
        hub.start()
        operator = hub.tenant(kind="management")
        hub.person(operator, operator=True)
        extensions = hub.get("/api/v1/system", operator).json()["extensions"]
        assert {one["name"] for one in extensions if one["state"] == "off"} == {"import_hubs"}
