"""The installed extensions, and what they add.

A registry takes what extensions add with `extend` or `contribute`. An extension of which a part
cannot be loaded is switched off whole: what it has added already is taken away again. It is logged,
and listed with its error by `weir --version` and the page *System*.
"""

import logging
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final, Literal

from lib import env
from lib.extensions.extension import Extension

log = logging.getLogger(__name__)

GROUP: Final = "weir.extensions"
_PROJECT: Final = Path(__file__).resolve().parents[2] / "pyproject.toml"
_NONE: Final = Extension()


class InvalidContribution(Exception):
    """What an extension adds does not fit; the text says why."""


class Installed:
    """An installed extension: its name and version, and why it is not used. `undo` takes away what
    it has added."""

    def __init__(self, point: EntryPoint, version: str) -> None:
        self.name = point.name
        self.version = version
        self.off = False
        self.error = ""
        self.undo: list[Callable[[], None]] = []
        self._point = point

    @property
    def state(self) -> Literal["on", "off", "failed"]:
        if self.off:
            return "off"
        return "failed" if self.error else "on"

    @cached_property
    def extension(self) -> Extension:
        """Its parts; none where it cannot be loaded."""
        with self.guarded():
            extension = self._point.load()
            if not isinstance(extension, Extension):
                raise InvalidContribution(f"{self._point.value} is not an Extension")
            return extension
        return _NONE

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Switch the extension off if the block raises an error. Raises ConfigurationError: a wrong
        setting stops the start, as one of Weir's own does."""
        try:
            yield
        except env.ConfigurationError:
            raise
        except (Exception, SystemExit) as error:
            self.error = f"{type(error).__name__}: {error}"
            log.exception("extension %s %s is switched off", self.name, self.version)
            while self.undo:
                self.undo.pop()()


@cache
def installed() -> tuple[Installed, ...]:
    """Return the extensions by name. Those that EXTENSIONS_OFF names are off."""
    by_name: dict[str, Installed] = {}
    for point, version in _points():
        by_name.setdefault(point.name, Installed(point, version))
    off = {name.strip() for name in env.text("EXTENSIONS_OFF", "").split(",")} - {""}
    if unknown := sorted(off - by_name.keys()):
        log.warning("EXTENSIONS_OFF: no such extension: %s", ", ".join(unknown))
    for name in off & by_name.keys():
        by_name[name].off = True
    return tuple(by_name[name] for name in sorted(by_name))


def _points() -> Iterator[tuple[EntryPoint, str]]:
    # A tree is not installed as a distribution, so nobody has written its entry points to the
    # environment. They are read from where the wheel gets them; the wheel has no such file.
    if _PROJECT.exists():
        project = tomllib.loads(_PROJECT.read_text())["project"]
        for name, value in project["entry-points"][GROUP].items():
            yield EntryPoint(name, value, GROUP), project["version"]
    for point in entry_points(group=GROUP):
        yield point, point.dist.version if point.dist else ""


def contribute(field: str, add: Callable[[Any], Callable[[], None] | None]) -> None:
    """Call `add` with what each extension has in a field of `Extension`. It returns what takes that
    away again; None if nothing is loaded after it."""
    for one in installed():
        if one.state == "on" and (name := getattr(one.extension, field)):
            with one.guarded():
                if undo := add(resolve_name(name)):
                    one.undo.append(undo)


def extend(
    registry: dict[Any, Any], field: str, kind: type, read: Callable[[Any], Mapping[Any, Any]]
) -> None:
    """Add to a registry what `read` makes of each extension's contribution: values of the type
    `kind`. An extension may not replace what is there."""

    def add(contribution: Any) -> Callable[[], None]:
        rows = read(contribution)
        for key, value in rows.items():
            if not isinstance(value, kind):
                raise InvalidContribution(f"{field}: {value!r} is not a {kind.__name__}")
            if key in registry:
                raise InvalidContribution(f"{field}: {key} exists already")
        registry.update(rows)
        return partial(_remove, registry, rows)

    contribute(field, add)


def _remove(registry: dict[Any, Any], rows: Mapping[Any, Any]) -> None:
    for key in rows:
        registry.pop(key, None)
