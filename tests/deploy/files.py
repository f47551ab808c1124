"""docker-compose.yml and the Dockerfile as data, with compose's own rules for variables."""

import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]

VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Z][A-Z0-9_]*)(?::([-?])([^}]*))?\})")
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Missing(Exception):
    """A variable without a default is not set; compose would not start."""


def interpolate(value: Any, fields: Mapping[str, str]) -> Any:
    """The value with every `${NAME}`, `${NAME:-default}` and `${NAME:?message}` in it replaced."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _meant(found, fields), value)
    if isinstance(value, dict):
        return {name: interpolate(inner, fields) for name, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, fields) for inner in value]
    return value


def _meant(files: "re.Match[str]", fields: Mapping[str, str]) -> str:
    dollar, name, kind, rest = files.groups()
    if dollar:
        return "$"
    if fields.get(name):
        return fields[name]
    if kind != "-":
        raise Missing(f"{name} {rest or ''}")
    return str(rest)


TRIAL = "docker-compose.trial.yml"
NGINX_ALONE = "docker-compose.nginx.yml"


@cache
def compose_file(*overrides: str, root: Path = ROOT) -> dict[str, Any]:
    """docker-compose.yml, with what files behind it on the command line add or change."""
    loaded: dict[str, Any] = yaml.safe_load((root / "docker-compose.yml").read_text())
    for name in overrides:
        loaded = _merged(loaded, yaml.safe_load((root / name).read_text()), "")
    return loaded


def _merged(value: Any, over: Any, name: str) -> Any:
    """By compose's rules: mappings are merged, networks added, volumes replaced by their place in
    the container, commands and all else replaced."""
    if isinstance(value, dict) and isinstance(over, dict):
        both = {key: _merged(value[key], over[key], key) for key in value.keys() & over.keys()}
        return {**value, **over, **both}
    if name == "networks":
        return [*value, *over]
    if name == "volumes":
        places = {volume.split(":")[1]: volume for volume in (*value, *over)}
        return list(places.values())
    return over


def services(
    fields: Mapping[str, str], *overrides: str, root: Path = ROOT
) -> dict[str, dict[str, Any]]:
    """Name -> service, as compose would start them with that environment file."""
    file = compose_file(*overrides, root=root)
    result: dict[str, dict[str, Any]] = interpolate(file["services"], fields)
    return result


def seconds(duration: str) -> int:
    """What `90s`, `11m` or `1m30s` is in seconds."""
    parts = re.findall(r"(\d+)([smh])", duration)
    assert "".join(number + unit for number, unit in parts) == duration, duration
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


class Instruction(NamedTuple):
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


@cache
def dockerfile(root: Path = ROOT) -> list[list[Instruction]]:
    """The instructions of each stage, the first of a stage being its FROM."""
    text = re.sub(r"(?m)^#.*\n", "", (root / "Dockerfile").read_text())
    stages: list[list[Instruction]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append(Instruction(name, rest.strip()))
    return stages


def environment_of(stage: list[Instruction]) -> dict[str, str]:
    """What the ENV lines of a stage set."""
    return dict(
        word.split("=", 1)
        for instruction in stage
        if instruction.name == "ENV"
        for word in instruction.words
    )
