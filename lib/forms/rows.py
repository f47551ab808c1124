"""A text field that shows each line of its text as a row of fields."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from django import forms
from django.template.loader import render_to_string


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a row. `widget` builds its widget."""

    name: str
    label: Any
    widget: Callable[[], forms.Widget]


class RowsText(forms.Widget):
    """A text as rows. `split` makes the cells of a line, `join` makes a line of a row's cells. A
    form may also send the text itself.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        split: Callable[[str], Sequence[str]],
        join: Callable[..., str],
    ) -> None:
        super().__init__()
        self.cells, self.split, self.join = cells, split, join

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0_{self.cells[0].name}"

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in data and f"{name}_{self.cells[0].name}" not in data

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str | None:
        if name in data:
            return str(data[name])
        if self.value_omitted_from_data(data, files, name):
            return None
        columns = [data.getlist(f"{name}_{cell.name}") for cell in self.cells]
        rows = zip_longest(*columns, fillvalue="")
        return "\n".join(self.join(*row) for row in rows if any(text.strip() for text in row))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
        # Without scripts, the empty row at the end is the only way to add one.
        rows: list[Sequence[str]] = [*map(self.split, lines), ()]
        own_attrs = dict(attrs or {})
        id = own_attrs.pop("id", f"id_{name}")
        context = {
            "cells": self.cells,
            "rows": [
                # The first row has the field's error and hint.
                self._render_row(name, f"{id}_{n}", row, {} if n else own_attrs)
                for n, row in enumerate(rows)
            ],
            "blank": self._render_row(name, f"{id}_new", (), {}),
        }
        return render_to_string("components/rows.html", context)

    def _render_row(
        self, name: str, id: str, texts: Sequence[str], own_attrs: dict[str, Any]
    ) -> list[tuple[Any, str]]:
        row: list[tuple[Any, str]] = []
        for index, cell in enumerate(self.cells):
            attrs = own_attrs | {"id": f"{id}_{cell.name}", "aria-label": str(cell.label)}
            text = texts[index] if index < len(texts) else ""
            widget = cell.widget().render(f"{name}_{cell.name}", text, attrs | {"class": "input"})
            row.append((cell.label, widget))
        return row
