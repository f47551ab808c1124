"""Whom a ticket of a realtime connection lets in, and what its page learns of holds and charges."""

import datetime as dt
import json
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.keys.keys import playground_key, revoke_key
from accounts.members import members
from accounts.models import Membership, Organisation, Role, User
from lib import clock
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from playground.media import realtime, realtime_socket
from playground.models import RealtimeTicket
from playground.payers.paying import Payer
from tests.playground.asking import outcome
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import credit, happen


@pytest.mark.django_db
@pytest.mark.parametrize(
    "cause", ["", "expired", "switched off", "removed", "viewer", "key revoked", "another text"]
)
def test_ticket_lets_in_whoever_may_still_pay(people: Cast, cause: str) -> None:
    key, _ = make_key(people.core, "bob's", user=people.bob)
    by = actor(people.bob, people.acme)
    token = realtime.issue_ticket(by, Payer(key, "dykes"), "m-1")
    now = clock.now()
    if cause == "expired":
        RealtimeTicket.objects.update(expires_at=now - dt.timedelta(microseconds=1))
    elif cause == "switched off":
        User.objects.filter(pk=people.bob.pk).update(is_active=False)
    elif cause == "removed":
        members.remove_member(people.acme, people.bob.email, actor=SYSTEM)
    elif cause == "viewer":
        Membership.objects.filter(user=people.bob).update(role=Role.VIEWER)
    elif cause == "key revoked":
        revoke_key(SYSTEM, key)
    claimed = realtime.claim_ticket(token + "x" * (cause == "another text"))
    if cause:
        assert claimed is None
        return
    assert claimed is not None
    claimer, payer, model = claimed
    assert (claimer.user, claimer.organisation) == (people.bob, people.acme)
    assert (payer, model) == (Payer(key, "dykes"), "m-1")


@pytest.mark.django_db
def test_charges_are_those_of_ones_own_ended_requests(people: Cast) -> None:
    keys = {user: make_key(people.core, user.name, user=user)[0]
            for user in (people.bob, people.alice)}  # fmt: skip
    for key in keys.values():
        credit(key)
    own, other, unknown = new_id(), new_id(), new_id()
    for user, id, nano in ((people.bob, own, 30), (people.alice, other, 400)):
        happen(keys[user], clock.now(), nano, request_id=id)
    charged = realtime.charges_of(actor(people.bob, people.acme), [own, other, unknown])
    assert [(one["id"], one["charge_nano"]) for one in charged] == [(id_text(own), 30)]
    assert isinstance(people.acme, Organisation)
    assert playground_key(people.acme).user is None


async def test_holds_and_charges_come_before_the_next_event() -> None:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        text = message.get("text")
        messages.append(json.loads(text) if text and text.startswith("{") else message["type"])

    reporter = realtime_socket._HoldReporter(send)
    first, second = RequestId(new_id()), RequestId(new_id())
    reporter.held(first, 210_000_000)
    # Nothing is sent before the connection is open.
    await reporter.send({"type": "websocket.accept"})
    reporter.held(second, 20_000_000)
    reporter.settled(outcome(request_id=first, charge_nano=1_200_000))
    await reporter.send({"type": "websocket.send", "text": "event"})
    await reporter.send({"type": "websocket.close"})
    facts = [
        ("weir.hold", first, "$0.21", "$0.21", "$0.00"),
        ("weir.hold", second, "$0.02", "$0.23", "$0.00"),
        ("weir.charge", first, "$0.0012", "$0.02", "$0.0012"),
    ]
    assert messages == [
        "websocket.accept",
        *(
            {"type": type, "request": id_text(id), "amount": amount, "held": held, "spent": spent}
            for type, id, amount, held, spent in facts
        ),
        "websocket.send",
        "websocket.close",
    ]


@pytest.mark.parametrize(
    ("headers", "is_here"),
    [
        ([(b"host", b"hub"), (b"origin", b"https://hub")], True),
        ([(b"host", b"hub:8000"), (b"origin", b"http://hub:8000")], True),
        ([(b"host", b"hub"), (b"origin", b"https://hub.example")], False),
        ([(b"host", b"hub"), (b"origin", b"null")], False),
        ([(b"host", b""), (b"origin", b"")], False),
        ([(b"host", b"hub")], False),
    ],
)
def test_ticket_is_taken_from_pages_of_this_site_alone(
    headers: list[tuple[bytes, bytes]], is_here: bool
) -> None:
    assert realtime_socket._is_from_here({"headers": headers}) is is_here
    scope: Any = {"subprotocols": ["realtime", "weir-ticket.abc"]}
    assert realtime_socket._ticket_of(scope) == "abc"
    assert not realtime_socket.shows_ticket({"subprotocols": ["realtime"]})
