"""Writes of usage."""

from typing import Final

from lib import clock
from tests.config.writes.world import Writes
from usage.books import findings
from usage.models import Finding
from usage.reports import chart_notes


def found(_: object) -> Finding:
    return Finding.objects.create(invariant="I1", object="1", walk="whole")


WRITES: Final[Writes] = {
    "usage.books.findings.acknowledge": lambda w: findings.acknowledge(
        w.dora, found(w), "Put right"
    ),
    "usage.reports.chart_notes.add_note": lambda w: chart_notes.add_note(
        w.alice, clock.now(), "Raised the limits"
    ),
    "usage.reports.chart_notes.change_note": lambda w: chart_notes.change_note(
        w.alice, chart_notes.add_note(w.alice, clock.now(), "Raised the limits"), text="Raised it"
    ),
    "usage.reports.chart_notes.delete_note": lambda w: chart_notes.delete_note(
        w.alice, chart_notes.add_note(w.alice, clock.now(), "Raised the limits")
    ),
}
