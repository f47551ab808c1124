"""Writes of usage."""

from typing import Final

from lib import clock
from tests.config.writes.world import Writes
from usage import chart_notes

WRITES: Final[Writes] = {
    "usage.chart_notes.add_note": lambda w: chart_notes.add_note(
        w.alice, clock.now(), "Raised the limits"
    ),
    "usage.chart_notes.delete_note": lambda w: chart_notes.delete_note(
        w.alice, chart_notes.add_note(w.alice, clock.now(), "Raised the limits")
    ),
}
