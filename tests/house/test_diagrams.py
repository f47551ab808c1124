"""The diagrams in the documents are those that the code draws today."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools import diagrams
from tools.diagrams import IMAGES, ROOT, drawings, read_imports, read_rooms, read_steps

DRAWINGS = drawings()


@pytest.mark.parametrize("name", DRAWINGS)
def test_each_diagram_is_what_make_diagrams_draws(name: str) -> None:
    assert (IMAGES / name).read_text() == DRAWINGS[name], "run `make diagrams`"
    ElementTree.fromstring(DRAWINGS[name])


def test_diagrams_are_written_where_the_documents_have_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(diagrams, "IMAGES", tmp_path)
    monkeypatch.setattr(diagrams, "drawings", lambda: DRAWINGS)
    diagrams.main()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == DRAWINGS


def test_every_import_between_rooms_is_an_arrow_downwards() -> None:
    rooms = read_rooms()
    for at, room in enumerate(rooms):
        assert read_imports(room, rooms) <= set(rooms[at + 1 :])
    assert read_imports("dialects", rooms) == set()
    dots = sum(len(read_imports(room, rooms)) for room in rooms)
    assert DRAWINGS["rooms.svg"].count("<circle") == dots > len(rooms)


def test_the_steps_of_a_request_name_files_that_exist() -> None:
    steps = list(read_steps())
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    for file in (file for step in steps for file in step.files):
        assert (ROOT / file.removesuffix("…")).exists(), file


def test_each_diagram_has_both_colour_schemes_and_a_label() -> None:
    for text in DRAWINGS.values():
        assert "prefers-color-scheme: dark" in text
        assert re.search(r'role="img" aria-label="[^"]+"', text)
