"""deploy/systemd as data: each unit with the drop-in that all have."""

from functools import cache
from typing import Final

from tests.deploy.files import ROOT

FOLDER: Final = ROOT / "deploy/systemd"
Unit = dict[str, list[str]]


def _settings(text: str) -> Unit:
    result: Unit = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            result.setdefault(name, []).append(value)
    return result


@cache
def service(name: str) -> Unit:
    """The settings of `weir-NAME.service`, each with all of its values in order."""
    common = _settings((FOLDER / "weir-.service.d/hardening.conf").read_text())
    own = _settings((FOLDER / f"weir-{name}.service").read_text())
    return {key: [*own.get(key, []), *common.get(key, [])] for key in own.keys() | common.keys()}


def services() -> set[str]:
    return {path.stem.removeprefix("weir-") for path in FOLDER.glob("weir-*.service")}
