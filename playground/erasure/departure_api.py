"""The management API for leaving an organisation: what happens to a member's keys and chats."""

from typing import Literal

from ninja import Status
from pydantic import Field

from accounts.access import actors
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.keys import departures
from accounts.keys.departures import KeyFate, Receiver
from accounts.models import Membership
from lib.api.openapi import RequestBody
from lib.refusal import Refused
from playground.erasure.departures import Departure, chat_receivers, depart

router = Router(tags=["Members"])


class RemovalIn(RequestBody):
    """What happens to the property of the leaving member."""

    keys: Literal["disable", "revoke", "transfer"] = Field(
        "disable",
        description="What happens to the member's keys. A management key cannot be "
        "transferred: it is disabled instead.",
    )
    keys_to: str | None = Field(
        None,
        max_length=254,
        description="With `transfer`: the email address of another member, or the name of a "
        "service account of the key's team.",
    )
    chats: Literal["delete", "transfer"] = Field(
        description="What happens to the member's chats, media requests with their files, private "
        "prompts and presets."
    )
    chats_to: str | None = Field(
        None, max_length=254, description="With `transfer`: the email address of another member."
    )


@router.post("/members/{id}/remove", response={204: None}, summary="Remove a member")
@requires("members.read")
def remove_member(actor: Actor, id: str, body: RemovalIn) -> Status[None]:
    """Ends a membership, also your own. The member's keys stop working at once, pending increase
    requests are closed and pending invitations withdrawn. The last owner cannot be
    removed."""
    member = departures.access_leaving(actor, id)
    fate = KeyFate(body.keys, _receiver(actor, member, body.keys_to))
    heir = _find_heir(actor, member, body.chats_to) if body.chats == "transfer" else None
    depart(actor, member, Departure(other_keys=fate, chats_to=heir))
    return Status(204, None)


def _receiver(actor: actors.Actor, member: Membership, name: str | None) -> Receiver | None:
    """Return the receiver with that name, who can take one of the member's keys. Return None
    without a name. Raises Refused."""
    if name is None:
        return None
    for key in departures.keys_left_by(member):
        for receiver in departures.receivers(actor, key):
            if departures.name_of(receiver).casefold() == name.casefold():
                return receiver
    raise Refused("keys_to", f"No key can be transferred to {name}.")


def _find_heir(actor: actors.Actor, member: Membership, email: str | None) -> Membership:
    for heir in chat_receivers(actor, member):
        if email is not None and heir.user.email.casefold() == email.casefold():
            return heir
    raise Refused("chats_to", f"Chats cannot be transferred to {email}.")
