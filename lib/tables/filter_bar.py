"""The filters above a list on a page: fields, and a chip for each active filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lib.tables.table import Choices, Label, State


class Field(NamedTuple):
    """A field of the bar. A choice lists its values, "any" first. A field with `rest` is behind a
    button."""

    name: str
    label: Label
    kind: Literal["choice", "search", "date", "number"] = "choice"
    value: str = ""
    choices: Choices = ()
    hint: Label = ""
    rest: bool = False


class Chip(NamedTuple):
    """An active filter of a list, with the address of the list without it."""

    label: Label
    text: Label
    href: str


@dataclass(frozen=True)
class FilterBar:
    """The filters above a list. `hidden` are the address's parameters that the form keeps."""

    fields: Sequence[Field]
    hidden: Sequence[tuple[str, str]]
    chips: Sequence[Chip]
    clear_href: str

    @property
    def searches(self) -> list[Field]:
        return [field for field in self.fields if field.kind == "search"]

    @property
    def folded(self) -> list[Field]:
        """Return the fields that a telephone shows behind a button."""
        return [field for field in self.fields if field.kind != "search" and not field.rest]

    @property
    def rest(self) -> list[Field]:
        return [field for field in self.fields if field.rest]


def bar_of(state: State) -> FilterBar:
    """Return the bar of a table's own filters."""
    fields = [
        Field(one.filter.name, one.filter.label, one.filter.kind, one.value, one.choices)
        for one in state.filters
        # With "any" as the only choice there is nothing to choose.
        if one.filter.kind != "choice" or len(one.choices) > 1
    ]
    chips = [
        Chip(one.filter.label, one.value_text, f"?{state.query(**{one.filter.name: None})}")
        for one in state.filters
        if one.active
    ]
    cleared = dict.fromkeys(one.filter.name for one in state.filters)
    return FilterBar(fields, [*state.others, *state.kept], chips, f"?{state.query(**cleared)}")
