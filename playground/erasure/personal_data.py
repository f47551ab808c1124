"""An archive of the data stored about a person: JSON, and the files that they attached or created.
It contains no secrets: only what the page shows of a key, and only the kind of a second factor.

The person gets the whole. Operators get all of it except the content, which only the person may
read: chats, prompts, media and attached files. An owner gets the rows of one organisation (P12),
also without content: how a person signs in, and what they do elsewhere, is not the organisation's.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import Model, QuerySet

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit_log.log import describe_events, serialize_event
from accounts.models import (
    AuditEvent,
    Invitation,
    Key,
    Membership,
    Organisation,
    SignInNetwork,
    User,
)
from accounts.sessions import sessions
from content.models import Prompt
from lib import clock
from lib.ids import id_text
from playground.models import (
    Attachment,
    Conversation,
    MediaRun,
    Preset,
    ShareLink,
    Vote,
)
from usage.models import Feedback, SavedView, UsageRecord

_BATCH: Final = 5_000
_REQUEST: Final = (
    "id", "request_id", "admitted_at", "ended_at", "organisation_id", "team_id", "key_id", "model",
    "operation", "source", "status", "kind", "finish_reason", "meters", "charge_nano", "project",
    "tags", "customer", "client_app", "end_user",
)  # fmt: skip
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
File = tuple[str, bytes]


def personal_data(person: User, *, content: bool = True) -> Iterator[File]:
    """Yield the files of the whole archive as (name, content), one in memory at a time. Without
    `content`, everything that only the person may read is left out: chats, prompts, media and
    attached files."""
    yield _file("profile", _profile(person))
    yield _file("sign-ins", _sign_ins(person))
    yield from _rows(
        Membership.objects.filter(user=person),
        Invitation.objects.filter(email__iexact=person.email),
        Key.objects.filter(user=person),
        UsageRecord.objects.filter(user_id=person.pk),
        AuditEvent.objects.filter(actor_user=person),
    )
    if content:
        yield from _content(person)


def data_in_organisation(person: User, organisation: Organisation) -> Iterator[File]:
    """Yield the files of the archive of what lies in one organisation, without what only the
    person may read."""
    yield _file("profile", _fields(person, "email", "name"))
    yield from _rows(
        Membership.objects.filter(organisation=organisation, user=person),
        Invitation.objects.filter(organisation=organisation, email__iexact=person.email),
        Key.objects.filter(organisation=organisation, user=person),
        UsageRecord.objects.filter(organisation_id=organisation.pk, user_id=person.pk),
        AuditEvent.objects.filter(organisation=organisation, actor_user=person),
    )


def record_download(
    actor: Actor, organisation: Organisation | None, person: User, *, content: bool
) -> None:
    """Record in the audit log that the actor downloads the archive; with an organisation, what lies
    in it."""
    audit.record(actor, organisation, "user.data_downloaded", person, content=content)


def _rows(
    memberships: QuerySet[Membership],
    invitations: QuerySet[Invitation],
    keys: QuerySet[Key],
    requests: QuerySet[UsageRecord],
    events: QuerySet[AuditEvent],
) -> Iterator[File]:
    memberships = memberships.select_related("organisation", "custom_role")
    members = memberships.prefetch_related("teams").order_by("id")
    yield _file("memberships", [_membership(row) for row in members])
    invited = ("organisation_id", "email", "created_at", "accepted_at")
    yield _file("invitations", [_fields(row, *invited) for row in invitations.order_by("id")])
    yield _file("keys", [_key(key) for key in keys.order_by("id")])
    yield from _requests(requests)
    yield from _events(events)


def _profile(person: User) -> dict[str, Any]:
    addresses = EmailAddress.objects.filter(user=person).order_by("email")
    return {
        **_fields(person, "email", "name", "language", "theme", "operator", "is_active"),
        **_fields(person, "created_at", "last_login"),
        "addresses": [_fields(row, "email", "verified", "primary") for row in addresses],
    }


def _membership(row: Membership) -> dict[str, Any]:
    return {
        "organisation": row.organisation.slug,
        "role": row.custom_role.name if row.custom_role else row.role,
        "teams": None if row.all_teams else [team.slug for team in row.teams.all()],
        **_fields(row, "rpm", "tpm", "parallel", "created_at"),
    }


def _sign_ins(person: User) -> dict[str, Any]:
    return {
        "sessions": [
            _fields(row, "ip", "user_agent", "created_at", "last_seen_at")
            for row in sessions.sessions_of(person)
        ],
        "networks": [
            _fields(row, "network", "last_at")
            for row in SignInNetwork.objects.filter(user=person).order_by("id")
        ],
        "second_factors": [
            _fields(row, "type", "created_at", "last_used_at")
            for row in Authenticator.objects.filter(user=person).order_by("id")
        ],
        "single_sign_on": [
            _fields(row, "provider", "uid", "extra_data", "date_joined", "last_login")
            for row in SocialAccount.objects.filter(user=person).order_by("id")
        ],
    }


def _key(key: Key) -> dict[str, Any]:
    return _fields(
        key, "id", "name", "kind", "prefix", "last4", "organisation_id", "team_id",
        "model_patterns", "endpoints", "networks", "tags", "created_at", "expires_at", "disabled",
        "revoked_at", "log_content",
    )  # fmt: skip


def _requests(records: QuerySet[UsageRecord]) -> Iterator[File]:
    rows = records.filter(final=True).order_by("id")
    values = rows.values(*_REQUEST).iterator(chunk_size=_BATCH)
    number = 0
    while part := [_plain(row) for row in islice(values, _BATCH)]:
        number += 1
        yield _file(f"requests/{number:04}", part)


def _events(events: QuerySet[AuditEvent]) -> Iterator[File]:
    rows = events.select_related("organisation")
    last: AuditEvent | None = None
    number = 0
    while batch := list((rows.filter(id__gt=last.id) if last else rows).order_by("id")[:_BATCH]):
        number += 1
        yield _file(f"audit/{number:04}", [serialize_event(one) for one in describe_events(batch)])
        last = batch[-1]


def _content(person: User) -> Iterator[File]:
    for id in _ids(Conversation, person):
        yield _file(f"chats/{id_text(id)}", _chat(Conversation.objects.get(id=id)))
    yield _file("prompts", [_prompt(row) for row in _own_rows(Prompt, person)])
    yield _file(
        "presets", [_fields(row, "name", "shared", "settings") for row in _own_rows(Preset, person)]
    )
    yield _file(
        "views", [_fields(row, "page", "name", "query") for row in _own_rows(SavedView, person)]
    )
    feedback = Feedback.objects.filter(author=person).order_by("id")
    yield _file("feedback", [
        _fields(row, "request_id", "score", "label", "comment", "created_at") for row in feedback
    ])  # fmt: skip
    yield _file("votes", [_fields(row, "candidates", "winner") for row in _own_rows(Vote, person)])
    yield _file("share-links", [
        _fields(row, "conversation_id", "members_only", "created_at", "expires_at", "revoked_at")
        for row in _own_rows(ShareLink, person)
    ])  # fmt: skip
    for id in _ids(MediaRun, person):
        yield _file(f"media/{id_text(id)}", _media(MediaRun.objects.get(id=id)))
    for id in _ids(Attachment, person):
        file = Attachment.objects.get(id=id)
        name = "".join(char if char in _SAFE else "_" for char in file.name)[-80:]
        yield f"files/{id_text(id)}-{name}", bytes(file.data)


def _chat(chat: Conversation) -> dict[str, Any]:
    messages = chat.messages.order_by("id")
    return {
        **_fields(chat, "id", "organisation_id", "title", "model", "settings", "folder"),
        **_fields(chat, "created_at", "updated_at", "deleted_at"),
        "messages": [
            _fields(
                row, "id", "parent_id", "role", "model", "content", "reasoning", "parts", "state",
                "created_at", "deleted_at",
            )
            for row in messages
        ],
    }  # fmt: skip


def _prompt(prompt: Prompt) -> dict[str, Any]:
    return {
        **_fields(prompt, "slug", "name", "shared", "created_at"),
        "versions": [
            _fields(row, "number", "model", "settings", "note", "created_at")
            for row in prompt.versions.order_by("number")
        ],
    }


def _media(run: MediaRun) -> dict[str, Any]:
    return {
        **_fields(run, "id", "kind", "model", "prompt", "settings", "text", "state"),
        **_fields(run, "started_at", "ended_at"),
        "files": [
            {"role": file.role, "name": file.name, "id": id_text(file.file_id)}
            for file in run.files.all()
            if file.file_id is not None
        ],
    }


def _own_rows(model: type[Any], person: User) -> Sequence[Any]:
    return list(model.objects.filter(user=person).order_by("id"))


def _ids(model: type[Any], person: User) -> list[UUID]:
    return list(model.objects.filter(user=person).order_by("id").values_list("id", flat=True))


def _fields(row: Model, *names: str) -> dict[str, Any]:
    return _plain({name: getattr(row, name) for name in names})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Convert values to JSON: public ids, and times in RFC 3339."""
    return {
        name: id_text(value)
        if isinstance(value, UUID)
        else clock.rfc3339(value)
        if hasattr(value, "isoformat")
        else value
        for name, value in values.items()
    }


def _file(name: str, value: object) -> File:
    return f"{name}.json", json.dumps(value, ensure_ascii=False, indent=2).encode()
