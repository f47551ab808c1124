"""Writes of usage."""

from typing import Final

from lib import clock
from tests.config.writes.world import World, Writes
from usage.books import findings
from usage.models import AcceptedMember, Finding
from usage.overview import chart_notes
from usage.reviews import accepted_members


def make_finding(_: object) -> Finding:
    return Finding.objects.create(invariant="I1", object="1", walk="whole")


def accepted(w: World) -> AcceptedMember:
    (member,) = accepted_members.accept_members(
        w.dora, "openai", "chat", ["new_tokens"], reason="They cost nothing"
    )
    return member


WRITES: Final[Writes] = {
    "usage.reviews.accepted_members.accept_members": accepted,
    "usage.reviews.accepted_members.revoke_member": lambda w: accepted_members.revoke_member(
        w.dora, str(accepted(w).pk)
    ),
    "usage.books.findings.acknowledge": lambda w: findings.acknowledge(
        w.dora, make_finding(w), "Put right"
    ),
    "usage.overview.chart_notes.add_note": lambda w: chart_notes.add_note(
        w.alice, clock.now(), "Raised the limits"
    ),
    "usage.overview.chart_notes.change_note": lambda w: chart_notes.change_note(
        w.alice, chart_notes.add_note(w.alice, clock.now(), "Raised the limits"), text="Raised it"
    ),
    "usage.overview.chart_notes.delete_note": lambda w: chart_notes.delete_note(
        w.alice, chart_notes.add_note(w.alice, clock.now(), "Raised the limits")
    ),
}
