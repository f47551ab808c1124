"""Draw docs/images/rooms.svg and docs/images/request.svg: `make diagrams`.

The rooms and their order come from the contract in pyproject.toml, their arrows from the imports in
the code, their purposes from CONTRIBUTING.md. The request's steps come from
docs/background/a-request.md.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = ROOT / "docs/images"

_IMPORT: Final = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
_STYLE: Final = """
  svg { font-family: ui-sans-serif, system-ui, "Segoe UI", Arial, sans-serif; }
  .page { fill: #ffffff; } .box { fill: #f4f5f7; stroke: #858b98; } .band { fill: #f4f5f7; }
  .line { fill: none; stroke: #858b98; } .dot, .head { fill: #4a4fe0; }
  .lane { fill: none; stroke: #4a4fe0; }
  text { fill: #14161a; font-size: 13px; } .name { font-weight: 600; } .small { fill: #565c69; }
  .file { font: 12px ui-monospace, Menlo, Consolas, monospace; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0b0c0f; } .box { fill: #1a1c21; stroke: #6b7280; } .band { fill: #131418; }
    .line { stroke: #6b7280; } .dot, .head { fill: #969aff; } .lane { stroke: #969aff; }
    text { fill: #ecedf0; } .small { fill: #a6acb8; }
  }
"""


def drawings() -> dict[str, str]:
    """The text of each drawing by its file name."""
    return {"rooms.svg": draw_rooms(), "request.svg": draw_request()}


# Rooms --------------------------------------------------------------------------------------------

_PURPOSE_CHARACTERS: Final = 46
_BOX_WIDTH: Final = 350
_LANE_GAP: Final = 26


def draw_rooms() -> str:
    """A column of rooms. A dot marks an import, and its lane leads down to the imported room."""
    rooms, purposes = read_rooms(), read_purposes()
    imports = {room: read_imports(room, rooms) for room in rooms}
    lanes = {room: 24 + _BOX_WIDTH + 40 + at * _LANE_GAP for at, room in enumerate(rooms[1:])}
    parts: list[str] = []
    tops, middles, y = {}, {}, 24
    for room in rooms:
        lines = wrap(purposes[room], _PURPOSE_CHARACTERS)
        height = 34 + 17 * len(lines)
        tops[room], middles[room] = y, y + height // 2
        parts.append(_box(24, y, _BOX_WIDTH, height))
        parts.append(_text(38, y + 22, room, "name"))
        parts += [_text(38, y + 40 + 17 * n, line, "small") for n, line in enumerate(lines)]
        y += height + 12
    edge = 24 + _BOX_WIDTH
    for room, top in tops.items():
        if imports[room]:
            reach = max(lanes[target] for target in imports[room])
            parts.append(_path("line", f"M{edge} {top + 14}H{reach}"))
    for target, x in lanes.items():
        importers = [room for room in rooms if target in imports[room]]
        if importers:
            end = middles[target] + 8
            start = min(tops[room] for room in importers) + 14
            parts.append(_path("lane", f"M{x} {start}V{end}H{edge + 8}"))
            parts.append(_path("head", f"M{edge} {end}l9 -5v10z"))
            parts += [_dot(x, tops[room] + 14) for room in importers]
    label = "The rooms from top to bottom: each imports only rooms below it."
    return _svg(max(lanes.values()) + 24, y + 12, label, parts)


def read_rooms() -> list[str]:
    """The rooms, from the one that may import all others down."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return [room for layer in layers for room in layer.split(" | ")]


def read_purposes() -> dict[str, str]:
    """What each room holds, as CONTRIBUTING.md says it."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    return {room: _plain(purpose) for room, purpose in rows}


def read_imports(room: str, rooms: Iterable[str]) -> set[str]:
    """The other rooms that a room's code imports, migrations apart."""
    named = {
        name
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts
        for name in _IMPORT.findall(path.read_text())
    }
    return (named & set(rooms)) - {room}


def _plain(text: str) -> str:
    """Markdown without its links and marks."""
    return re.sub(r" ?\(\[[^]]*\]\([^)]*\)\)|[`*]", "", text)


# A request ----------------------------------------------------------------------------------------

_ROW: Final = re.compile(r"^\| (\d+) \| (.+?) \| .+ \|$", re.MULTILINE)
_CHARACTER_WIDTH: Final = 7.3
_LINE_HEIGHT: Final = 19


class Step(NamedTuple):
    """A row of the table in docs/background/a-request.md: its files as paths from the root."""

    number: int
    files: list[str]


def draw_request() -> str:
    """A column for each room; from top to bottom the files through which a request goes."""
    steps = list(read_steps())
    rooms = [room for room in read_rooms() if any(_files_of(step, room) for step in steps)]
    rooms += sorted({file.split("/")[0] for step in steps for file in step.files} - set(rooms))
    parts: list[str] = []
    columns: dict[str, tuple[int, int]] = {}
    x = 56
    for room in rooms:
        names = [name for step in steps for name in _files_of(step, room)]
        width = round(max(map(len, [room, *names])) * _CHARACTER_WIDTH) + 20
        columns[room] = x, width
        parts.append(_text(x + 10, 34, room, "name"))
        x += width + 26
    y, before = 52, None
    for step in steps:
        lines = max(len(_files_of(step, room)) for room in rooms)
        height = 14 + _LINE_HEIGHT * lines
        if step.number % 2:
            band = f'x="0" y="{y - 5}" width="{x}" height="{height + 10}"'
            parts.append(f'<rect class="band" {band}/>')
        parts.append(_text(20, y + 20, str(step.number), "name"))
        used = [room for room in columns if _files_of(step, room)]
        for room in used:
            left, width = columns[room]
            names = _files_of(step, room)
            parts.append(_box(left, y, width, 14 + _LINE_HEIGHT * len(names)))
            parts += [
                _text(left + 10, y + 20 + _LINE_HEIGHT * n, name, "file")
                for n, name in enumerate(names)
            ]
        for one, other in pairwise(used):
            left, right = sum(columns[one]), columns[other][0]
            parts.append(_path("line", f"M{left} {y + 16}H{right}"))
        first = step.files[0].split("/")[0]
        at = columns[first][0] + 18
        if before is not None:
            parts.append(_arrow(before, (at, y)))
        before = at, y + 14 + _LINE_HEIGHT * len(_files_of(step, first))
        y += height + 24
    label = "A streamed chat request: the files of each step, by room."
    return _svg(x, y, label, parts)


def read_steps() -> Iterator[Step]:
    """The steps of the table. A file without a folder is in the folder of the one before it."""
    for number, cell in _ROW.findall((ROOT / "docs/background/a-request.md").read_text()):
        files: list[str] = []
        for name in re.findall(r"`([^`]+)`", cell):
            folder = f"{Path(files[-1]).parent}/" if files and "/" not in name else ""
            files.append(folder + name)
        yield Step(int(number), files)


def _files_of(step: Step, room: str) -> list[str]:
    """A step's files in a room, without its name."""
    return [file.removeprefix(f"{room}/") for file in step.files if file.startswith(f"{room}/")]


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A line down from one box to the next, with a head; across between the rows of the two."""
    (x, y), (to_x, to_y) = start, end
    line = _path("lane", f"M{x} {y}V{to_y - 15}H{to_x}V{to_y - 8}")
    return line + _path("head", f"M{to_x} {to_y}l-5 -9h10z")


# SVG ----------------------------------------------------------------------------------------------


def _svg(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-label="{escape(label)}">\n<style>{_STYLE}</style>\n'
        f'<rect class="page" width="{width}" height="{height}"/>\n{body}\n</svg>\n'
    )


def _box(x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _path(kind: str, path: str) -> str:
    return f'<path class="{kind}" d="{path}"/>'


def _dot(x: int, y: int) -> str:
    return f'<circle class="dot" cx="{x}" cy="{y}" r="4"/>'


def main() -> None:
    for name, text in drawings().items():
        (IMAGES / name).write_text(text)


if __name__ == "__main__":
    main()
