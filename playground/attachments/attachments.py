"""Files of messages: attached by a person, or created by a model."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of, person_of
from gateway.settings.installation import egress_policy_users
from lib import clock
from lib.database.async_database import run_in_database
from lib.network import egress
from lib.network.fetching import fetch_url
from playground.attachments.rules import BYTES_MAX, Medium, UnsupportedFile, inspect_file
from playground.models import Attachment, Message, Run

FETCH_S = 30
_NAME_MAX = 200
_NAMED_AS: Final = ["files", "media"]
NO_FACTS: Final[Mapping[str, Any]] = MappingProxyType({})
UNSENT_KEPT: Final = dt.timedelta(hours=24)
"""How long a file is kept that no message refers to."""


def add_file(actor: Actor, name: str, data: bytes) -> Attachment:
    """Store a file of the actor. Raises rules.UnsupportedFile."""
    info = inspect_file(data)
    return add_bytes(actor, name, data, info.kind, info.media_type, info.facts)


def add_bytes(
    actor: Actor,
    name: str,
    data: bytes,
    kind: str,
    media_type: str,
    facts: Mapping[str, Any] = NO_FACTS,
) -> Attachment:
    """Store a file of the actor whose kind is already known."""
    require(actor, "playground.use")
    return Attachment.objects.create(
        organisation=organisation_of(actor),
        user=person_of(actor),
        name=_plain(name),
        kind=kind,
        media_type=media_type,
        size=len(data),
        facts=dict(facts),
        data=data,
        unsent_until=clock.now() + UNSENT_KEPT,
    )


def mark_sent(ids: Collection[UUID]) -> int:
    """Mark files as sent, because a message now refers to them. Return how many of them exist."""
    return Attachment.objects.filter(id__in=ids).update(unsent_until=None) if ids else 0


def drop_unnamed(user_id: int, ids: Collection[UUID]) -> None:
    """Delete those of a person's files to which none of their messages refers any more."""
    Attachment.objects.filter(id__in=_unreferenced_ids(user_id, ids), user=user_id).delete()


def files_named(messages: QuerySet[Message]) -> set[UUID]:
    """Return the files that these messages refer to, whether sent with them or created by a
    model."""
    named = messages.filter(parts__has_any_keys=_NAMED_AS).values_list("parts", flat=True)
    return {
        UUID(file["id"]) for parts in named for name in _NAMED_AS for file in parts.get(name, ())
    }


def _unreferenced_ids(user_id: int, ids: Collection[UUID]) -> set[UUID]:
    if not ids:
        return set()
    return set(ids) - files_named(Message.objects.filter(conversation__user=user_id))


def drop_unsent(now: dt.datetime) -> None:
    """Delete files that were attached some time ago and never sent, and those of expired media
    runs."""
    Attachment.objects.filter(unsent_until__lte=now).delete()


async def fetch_file(url: str) -> tuple[str, bytes]:
    """Fetch the file at a user's URL. Return its name and bytes. Raises egress.EgressError."""
    policy = await run_in_database(egress_policy_users)
    response = await fetch_url(policy, url, bytes_max=BYTES_MAX)
    return url.split("?")[0].rstrip("/").rpartition("/")[2] or "file", response.body


async def fetch_made(url: str) -> bytes:
    """Download a provider's file from the URL in its answer. Only public addresses are allowed,
    whatever the operator lists. Raises egress.EgressError."""
    return (await fetch_url(egress.EgressPolicy(), url, bytes_max=BYTES_MAX)).body


def save_media(run: Run, media: Iterable[Medium]) -> list[dict[str, Any]]:
    """Store a file that a model created, and return what the message refers to."""
    saved = []
    for number, medium in enumerate(media, 1):
        ending = medium.media_type.rpartition("/")[2]
        file = Attachment.objects.create(
            organisation_id=run.conversation.organisation_id,
            user_id=run.user_id,
            name=f"{medium.kind}-{number}.{ending}"[:_NAME_MAX],
            kind=medium.kind,
            media_type=medium.media_type,
            size=len(medium.data),
            facts=_facts(medium),
            data=medium.data,
        )
        saved.append({"id": str(file.id), "kind": medium.kind, "media_type": medium.media_type,
                     "name": file.name})  # fmt: skip
    return saved


def _facts(medium: Medium) -> dict[str, Any]:
    """Measure an image or sound that a model created."""
    try:
        return dict(inspect_file(medium.data).facts)
    except UnsupportedFile:
        return {}


def _plain(name: str) -> str:
    """Return a name that is safe in a page, a header and a body."""
    printable = "".join(
        sign for sign in name.replace("\\", "/").rpartition("/")[2] if sign.isprintable()
    )
    return printable.strip()[:_NAME_MAX] or "file"
