"""Limits the names in the metrics: an unlimited number would fill the memory of the system that
collects them."""

from collections.abc import Iterable
from typing import Final, NamedTuple

LABELS_MAX: Final = 100
"""The number of models, and of channels, with a label of their own: those that were used first."""
OTHER: Final = "other"
"""The label of all others, and of models that have no route."""


class Total(NamedTuple):
    """A counter that only grows: its family and labels, of which the first is the name of a model
    or channel. `counts` are those of a histogram: cumulative, the last is the total."""

    family: str
    labels: tuple[str, ...]
    value: int
    counts: tuple[int, ...]


def limit_names(totals: Iterable[Total]) -> list[Total]:
    """Limit the totals to `LABELS_MAX` names, in the order in which they first appeared. A name
    keeps its label forever, so that no counter decreases."""
    kept_names: dict[bool, set[str]] = {True: {OTHER}, False: {OTHER}}
    sums: dict[tuple[str, tuple[str, ...]], Total] = {}
    for total in totals:
        names, name = kept_names[total.family == "attempts"], total.labels[0]
        if name not in names and len(names) > LABELS_MAX:
            name = OTHER
        names.add(name)
        labels = (name, *total.labels[1:])
        sums[total.family, labels] = _plus(sums.get((total.family, labels)), total, labels)
    return list(sums.values())


def _plus(before: Total | None, total: Total, labels: tuple[str, ...]) -> Total:
    if before is None:
        return total._replace(labels=labels)
    counts = tuple(a + b for a, b in zip(before.counts, total.counts, strict=True))
    return before._replace(value=before.value + total.value, counts=counts)
