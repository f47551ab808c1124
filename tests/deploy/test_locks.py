"""The three locks agree with pyproject.toml and with each other, and each is whole."""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distribution
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.files import ROOT

PROD, RUN, DEV = "requirements-prod.lock", "requirements.lock", "requirements-dev.lock"
_PINNED = re.compile(
    r"^(?P<pin>\S.*?) \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


class Pin(NamedTuple):
    """One version of a package; the marker says where that one is taken."""

    requirement: Requirement
    hashes: frozenset[str]


@cache
def pins(lock: str) -> dict[str, Pin]:
    """What a lock pins, by its own line: a package may have another version elsewhere."""
    text = (ROOT / lock).read_text()
    results = {
        match["pin"]: Pin(Requirement(match["pin"]), frozenset(match["hashes"].split()))
        for match in _PINNED.finditer(text)
    }
    assert len(results) == len(re.findall(r"(?m)^[a-z]", text)), f"{lock} has a line without hashes"
    return results


def installed_by(lock: str) -> dict[str, Pin]:
    """What a lock installs on this machine, by the package's name."""
    return {
        canonicalize_name(pin.requirement.name): pin
        for pin in pins(lock).values()
        if pin.requirement.marker is None or pin.requirement.marker.evaluate()
    }


def asked(*groups: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"]]
    for group in groups:
        lines += project["dependency-groups"][group]
    return [Requirement(line) for line in lines]


# Named in pyproject.toml as never to be installed.
OVERRIDDEN = {
    canonicalize_name(Requirement(line).name)
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"][
        "override-dependencies"
    ]
}
ASKED = {PROD: asked(), RUN: asked("embedded"), DEV: asked("embedded", "dev")}


@pytest.mark.parametrize("lock", ASKED)
def test_lock_contains_suitable_requested_versions(lock: str) -> None:
    installed = installed_by(lock)
    for wanted in ASKED[lock]:
        [version] = installed[canonicalize_name(wanted.name)].requirement.specifier
        assert wanted.specifier.contains(version.version), wanted


@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_holds_what_its_packages_need(lock: str) -> None:
    """Nothing is missing: the packages are installed without looking at their own needs."""
    assert closure(ASKED[lock]) <= set(installed_by(lock))


def closure(wanted: Iterable[Requirement]) -> set[str]:
    """Every package that is needed here, by what the installed ones say."""
    seen: set[tuple[str, str]] = set()
    waiting = [(one, "") for one in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name in OVERRIDDEN:
            continue
        for inner in {"", *requirement.extras}:
            if (name, inner) not in seen:
                seen.add((name, inner))
                needs = distribution(name).requires or []
                waiting += [(Requirement(line), inner) for line in needs]
    return {name for name, _ in seen}


@pytest.mark.parametrize(("smaller", "larger"), [(PROD, RUN), (RUN, DEV)])
def test_package_has_one_version_everywhere(smaller: str, larger: str) -> None:
    """What is tested is what runs: the image has the very files that the tests had."""
    here, there = installed_by(smaller), installed_by(larger)
    for name, pin in here.items():
        assert pin.requirement.specifier == there[name].requirement.specifier
        assert pin.hashes == there[name].hashes


def test_the_image_has_none_of_the_embedded_parts() -> None:
    embedded = {canonicalize_name(one.name) for one in asked("embedded")} - {
        canonicalize_name(one.name) for one in asked()
    }
    assert embedded
    assert not embedded & set(installed_by(PROD))


@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_names_no_host(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()
