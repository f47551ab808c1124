"""What a request may wait for, and what ends it: a provider behind a slow reader, a budget behind
a full wallet, a person behind a key of many (F13, P2, P11)."""

import asyncio
from collections.abc import Sequence

import pytest

from lib.id_types import KeyId, OrganisationId, TeamId, UserId
from relay.asgi import Relay
from relay.credentials.keys import Principal
from relay.credentials.revocation import EndReason, Revocable, Running
from relay.database.database import PipelinedConnection, Row, Statement
from relay.holds.admitted_attempt import Chosen, PlacedHold
from relay.holds.place_hold import HoldPlacer
from relay.ledger.settlement import Settlement
from relay.pages import queue_sink
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream
from tests.relay.pages.test_in_process import body, knows, principal, read_events, relay
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")
__all__ = ["relay"]


async def test_slow_reader_does_not_excuse_a_silent_provider(
    relay: Relay, hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event waits until the one before it is fetched; behind the last there is only silence,
    which the client is not to blame for."""
    monkeypatch.setattr(queue_sink, "_QUEUED_MAX", 1)
    timeouts = {"connect": 3, "first_content": 60, "idle": 0.5, "total": 60}
    tenant, model = hub.tenant(), hub.model(fake, timeouts=timeouts)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    chat = relay.in_process.chat(
        who, body(model, "#tokens=20 #hold=5 #delay_ms=20"), source="playground"
    )
    (outcome,) = [item async for item in read_events(chat) if isinstance(item, Outcome)]
    assert outcome.kind == "timeout"
    await asyncio.to_thread(hub.settled, tenant)


async def test_the_smaller_of_budget_and_wallet_is_the_bound(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    """docs/promises.md, "Size of a hold": the page tells what sending would hold, or refuse."""
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    hub.budget(tenant, "0.000000500", "team")
    who = await principal(relay, hub, tenant)
    bound = await relay.in_process.bound(who, body(model, "#tokens=5"))
    assert bound.fits
    assert bound.hold_nano <= bound.available_nano == 500
    assert bound.output_cap == bound.output_tokens
    explicit = await relay.in_process.bound(who, body(model, "#tokens=5", max_tokens=5000))
    assert (explicit.fits, explicit.available_nano) == (False, 500)


async def test_key_ending_between_attempts_ends_the_next_one(
    relay: Relay, hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no attempt runs there is none to stop."""
    runs: list[Revocable] = []
    enter, place = Running.enter, HoldPlacer.place

    def noting(running: Running, run: Revocable, who: Principal) -> None:
        runs.append(run)
        enter(running, run, who)

    async def placing(
        holds: HoldPlacer, chosen: Chosen, number: int, replaces: Settlement | None
    ) -> PlacedHold:
        hold = await place(holds, chosen, number, replaces)
        if number > 1:
            runs[-1].revoke()
        return hold

    monkeypatch.setattr(Running, "enter", noting)
    monkeypatch.setattr(HoldPlacer, "place", placing)
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    chat = relay.in_process.chat(
        who, body(model, "#1.fault=F10:500 #tokens=3"), source="playground"
    )
    (outcome,) = [item async for item in read_events(chat) if isinstance(item, Outcome)]
    assert (outcome.status, outcome.kind) == (401, "authentication")
    await asyncio.to_thread(hub.settled, tenant)


class Run:
    ended = False
    session_id = None

    def revoke(self, reason: EndReason = "revoked") -> None:
        self.ended = True


async def test_only_the_signed_out_user_of_the_playground_key_is_ended(hub: Hub) -> None:
    """It has no text, and stands for whoever is signed in."""
    tenant = hub.tenant()
    key = hub.key(tenant, kind="playground")
    stays, leaves = hub.person(tenant), hub.person(hub.key(tenant))
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()

    async def ask(statement: Statement) -> Sequence[Row]:
        (rows,) = await connection.run([statement])
        return rows

    running = Running(ask)
    runs = {user_id: Run() for user_id in (stays, leaves)}
    for user_id, run in runs.items():
        running.enter(run, _signed_in(key, user_id))
    await running.end_revoked()
    assert not any(run.ended for run in runs.values())
    hub.connection.execute("DELETE FROM accounts_membership WHERE user_id = %s", [leaves])
    await running.end_revoked()
    assert (runs[stays].ended, runs[leaves].ended) == (False, True)
    running.leave(runs[leaves])
    hub.connection.execute("UPDATE accounts_key SET disabled = true WHERE id = %s", [key.key_id])
    await running.end_revoked()
    assert runs[stays].ended
    await connection.close()


def _signed_in(key: Tenant, user_id: int) -> Principal:
    return Principal(
        key_id=KeyId(key.key_id),
        organisation_id=OrganisationId(key.organisation_id),
        team_id=TeamId(key.team_id),
        user_id=UserId(user_id),
        kind="playground",
        model_patterns=(),
        expires_at=None,
        disabled=False,
    )
