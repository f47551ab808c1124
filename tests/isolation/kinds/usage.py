"""Whatever of usage an address names: requests, and what is kept about them."""

import datetime as dt
from dataclasses import replace
from typing import Final

from billing.models import EndedSession
from lib import clock
from lib.ids import id_text, new_id, parse_id
from tests.isolation.world import NANO, Kind, Place, World, of_installation, personal
from tests.usage.rows import happen
from usage.models import (
    AcceptedMember,
    ChartNote,
    Export,
    Feedback,
    Finding,
    ProviderBill,
    SavedView,
    UsageRecord,
)


def _request(world: World, at: Place) -> str:
    record = happen(at.key, clock.now() - dt.timedelta(hours=1), model=f"model-{at.word}")
    return id_text(record.request_id)


def _session(world: World, at: Place) -> str:
    session = new_id()
    happen(at.key, clock.now() - dt.timedelta(hours=1), model=f"s-{at.word}", session_id=session)
    return id_text(session)


def _ended_session(world: World, at: Place) -> str:
    session = _session(world, at)
    EndedSession.objects.create(
        session_id=parse_id(session) or new_id(), organisation=at.organisation
    )
    return session


def _bill(world: World, at: Place) -> str:
    today = clock.now().date()
    provider_bill = ProviderBill.objects.create(
        provider="openai", file_name="b.csv", match="day", first_on=today, last_on=today,
        channel_ids=[], tolerance_nano=0, lines=1, billed_nano=NANO, ours_nano=0,
    )  # fmt: skip
    provider_bill.differences.create(n=1, kind="not_recorded", billed_nano=NANO, ours_nano=0)
    return id_text(provider_bill.id)


def _export(world: World, at: Place) -> str:
    export = Export.objects.create(
        organisation=at.organisation, user=at.user, form="csv", query=f"model={at.word}",
        language="en",
    )  # fmt: skip
    return id_text(export.id)


def _saved_view(world: World, at: Place) -> str:
    saved_view = SavedView.objects.create(
        organisation=at.organisation, user=at.user, page="usage", name=f"View {at.word}"
    )
    return id_text(saved_view.id)


def _note(world: World, at: Place) -> str:
    chart_note = ChartNote.objects.create(
        organisation=at.organisation, team=at.team, at=clock.now(), text=f"Note {at.word}"
    )
    return id_text(chart_note.id)


def _feedback(world: World, at: Place) -> str:
    row = Feedback.objects.create(
        organisation=at.organisation, request_id=new_id(), author_key_id=at.key.id, author=at.user,
        team_id=at.team.id, key_id=at.key.id, user_id=at.user.pk, model="m-1", score=50,
        comment=f"Comment {at.word}",
    )  # fmt: skip
    return id_text(row.id)


def _finding(world: World, at: Place) -> str:
    finding = Finding.objects.create(invariant="I1", object=at.word, walk="whole")
    return str(finding.id)


def _review(world: World, at: Place) -> str:
    record: UsageRecord = happen(
        at.key, clock.now() - dt.timedelta(hours=2), basis="held", charge_nano=0,
        flags=["quarantine"],
    )  # fmt: skip
    return id_text(record.request_id)


def _accepted_member(world: World, at: Place) -> str:
    accepted_member = AcceptedMember.objects.create(
        provider="openai", wire="chat", member=f"{at.word}_tokens", reason="r",
        accepted_by=world.dora,
    )  # fmt: skip
    return str(accepted_member.id)


# Of an organisation or a team.
NOTE: Final = Kind("note", "teams.write", _note)
# Of a person, in an organisation.
REQUEST: Final = personal("request", "requests.read", _request)
FEEDBACK: Final = personal("feedback", "requests.read", _feedback)
SESSION: Final = personal("session of an agent", "requests.read", _session)
ENDABLE_SESSION: Final = personal("session to end", "sessions.write", _session)
LINKED_SESSION: Final = replace(
    personal("linked session", "requests.read", _ended_session), read=None, of_members=True
)
EXPORT: Final = personal("export", "requests.read", _export, private=True)
SAVED_VIEW: Final = personal("saved view", "usage.read", _saved_view, private=True)
# Of the installation.
BILL: Final = of_installation("bill", "credits.read", _bill)
FINDING: Final = of_installation("finding", "channels.read", _finding)
ACCEPTED_MEMBER: Final = of_installation("accepted member", "credits.read", _accepted_member)
REVIEW: Final = of_installation("review", "credits.read", _review)
