"""Writes of usage."""

from typing import Final

from accounts.access.actors import organisation_of
from lib import clock
from lib.ids import new_id
from tests.config.writes.world import World, Writes
from usage.books import findings
from usage.feedback import feedback
from usage.models import AcceptedMember, Feedback, Finding
from usage.overview import chart_notes
from usage.reviews import accepted_members


def make_finding(_: object) -> Finding:
    return Finding.objects.create(invariant="I1", object="1", walk="whole")


def make_feedback(w: World) -> Feedback:
    return Feedback.objects.create(
        organisation=organisation_of(w.alice), request_id=new_id(), author_key_id=new_id(),
        team_id=new_id(), key_id=new_id(), model="m-1", score=0, comment="Rude.",
    )  # fmt: skip


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
    "usage.feedback.feedback.delete_feedback": lambda w: feedback.delete_feedback(
        w.alice, make_feedback(w)
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
