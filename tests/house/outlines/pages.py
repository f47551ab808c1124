"""The outlines of all pages and answers, a file for each room that answers, and what differs from
them.

    == GET budget as owner: 200
    <h1> Budget of bound § zcolleaguez
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.house.asked import Answer
from tests.house.outlines.outline import below_the_banners, outline_of
from tests.isolation.cells import Cell, page_routes
from tests.support.golden_texts import RECORDING, difference

FOLDER: Final = Path(__file__).parent
# The first two begin a PDF file and a spreadsheet.
IS_FILE: Final = ("%PDF", "PK")
_LEFT_OUT: Final[Mapping[str, str]] = {
    "api_description": "is docs/reference/openapi.json",
    "api_reference": "has a row for each operation of it",
    "llms_txt": "lists the pages of the manual",
    "palette": "has a row for each page of the menu",
    "operator_palette": "has a row for each page of the menu",
    "metrics": "has the figures of a machine",
    "own_data_download": "has all of a person's rows, ids and times",
    "GET /people/{id}/data": "has all of a person's rows, ids and times",
    "GET /members/{id}/data": "has all of a person's rows, ids and times",
}
# What they show of a day or month depends on when the world was made, or is that of a machine: a
# line with a figure or a time is left out, but for those in its addresses.
_OF_THE_HOUR: Final = frozenset((
    "GET /budgets", "GET /budgets/{id}", "GET /statements/{period}", "GET /system",
    "GET /usage/focus", "budget", "budgets", "focus", "health", "home_panel", "member",
    "organisations", "requests", "statement", "statement_csv", "team", "teams", "usage",
    "usage_times",
))  # fmt: skip
_FIGURE: Final = re.compile(r"\d|◷")
_ADDRESS: Final = re.compile(r"\b(?:href|action|hx-get|hx-post)=\S+")


def differences(said: Iterable[tuple[str, list[str]]]) -> str:
    """What pages say otherwise than the files have it, as diffs. RECORD_TEXTS writes the files
    anew, as those of `tests/support/golden_texts.py`."""
    found = []
    for name, lines in said:
        file = FOLDER / name
        if RECORDING:
            file.write_text("".join(f"{line}\n" for line in lines))
        found.append(difference(file, file.read_text().splitlines(), lines))
    return "".join(found)


def said_by(answers: Iterable[Answer]) -> Iterable[tuple[str, list[str]]]:
    """The file of each room, and the lines that its pages say."""
    files = defaultdict[str, list[str]](list)
    shown: dict[str, frozenset[str]] = {}
    for answer in sorted(answers, key=lambda one: (one.cell.name, one.cell.method)):
        name, method = answer.cell.name, answer.cell.method
        if answer.htmx or "?" in answer.path or name in _LEFT_OUT:
            continue
        if answer.text.startswith(IS_FILE):
            continue
        lines = outline_of(below_the_banners(answer.text))
        if name in _OF_THE_HOUR:
            stable = (line for line in lines if not _FIGURE.search(_ADDRESS.sub("", line)))
            lines = [re.sub("◷[-+]", "◷", line) for line in stable]
        if method == "GET":
            shown[name] = frozenset(lines)
        else:
            # The rest is what the page shows before.
            lines = [line for line in lines if line not in shown.get(name, ())]
        head = f"== {method} {name.removeprefix(f'{method} ')} as {answer.cell.who.role}"
        files[f"{room_of(answer.cell)}.txt"] += [f"{head}: {answer.status}", *lines]
    return files.items()


def room_of(cell: Cell) -> str:
    """The room whose view answers; "api" of an operation."""
    if not cell.is_page:
        return "api"
    view = page_routes()[cell.name][1]
    return str(view.__module__).partition(".")[0]
