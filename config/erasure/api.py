"""The management API for erasing people and for their stored data. The pages call the same
functions."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Status
from pydantic import Field

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.audit.audit import REASON_MAX
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_may_handle_personal_data
from accounts.keys.departures import KeyFate
from accounts.members import access as member_access
from accounts.models import Organisation, User
from config.erasure.views import operator_actor, remaining_copies
from lib.api.openapi import RequestBody, Schema
from lib.database.tenancy import use_tenant
from lib.files.zip_stream import stream_zip
from lib.refusal import Refused
from playground.erasure.access import erasable_part, find_erasure
from playground.erasure.erasure_requests import (
    open_keys,
    preview,
    receiver_named,
    request_erasure,
)
from playground.erasure.erasure_steps import FAILED
from playground.erasure.personal_data import (
    data_in_organisation,
    personal_data,
    record_download,
)

own_router = Router(tags=["Members"])
router = Router(tags=["Organisations"], auth=api_auth.installation_auth)
_ZIP = {
    "responses": {
        200: {
            "description": "A ZIP archive of JSON files.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
}


class ErasureIn(RequestBody):
    """Why a person is erased, and what happens to their keys."""

    email: str = Field(
        min_length=3, max_length=254, description="The person's email address again, to confirm."
    )
    reason: str = Field(
        min_length=1,
        max_length=REASON_MAX,
        description="It stays in the audit log. Do not name the person.",
    )
    keys: Literal["revoke", "transfer"] = Field(
        "revoke",
        description="What happens to the person's keys. A management key cannot be transferred: "
        "it is revoked instead.",
    )
    keys_to: str | None = Field(
        None,
        max_length=254,
        description="With `transfer`: the email address of another member, or the name of a "
        "service account of the key's team.",
    )


class ErasureCopies(Schema):
    """Copies that the erasure does not reach."""

    last_backup_at: dt.datetime | None = Field(description="When the newest backup was made.")
    backup_keep_days: int | None = Field(
        description="For how many days a backup is kept; `null` if the installation does not say."
    )
    detached_months: int = Field(description="Months of requests that are kept in files.")
    sinks: list[str] = Field(
        description="Sinks of usage, such as the record sink, that got records earlier and are "
        "not in use: Weir does not reach the person's records there."
    )


class ErasureOut(Schema):
    """The progress of an erasure, or what it would remove."""

    state: Literal["none", "running", "waiting", "failed", "done"] = Field(
        description="`none`: not requested. `waiting`: for requests that are still on their way. "
        "`failed`: after an error, which the worker's log names; it is tried again."
    )
    pseudonym: str | None = Field(description="What stands for the person in what stays.")
    requested_at: dt.datetime | None
    done_at: dt.datetime | None
    obstacle: str | None = Field(description="Why the person cannot be erased now.")
    counts: dict[str, int] = Field(
        description="How many things were erased, by kind; before the request, how many would be."
    )
    copies: ErasureCopies


@own_router.get(
    "/members/{id}/erasure", response=ErasureOut, summary="Preview the erasure of a member"
)
@requires("organisation.write")
def preview_member_erasure(actor: Actor, id: str) -> ErasureOut:
    """What erasing a member would take away in the organisation. Only for owners."""
    person = member_access.writable_member(actor, id).user
    with use_tenant(None):
        return _describe_erasure(person, erasable_part(actor, person))


@own_router.post("/members/{id}/erase", response={202: ErasureOut}, summary="Erase a member")
@requires("organisation.write")
def erase_member(
    request: HttpRequest, actor: Actor, id: str, body: ErasureIn
) -> Status[ErasureOut]:
    """Removes a member, and erases their chats, prompts, files, notes and the texts that name them
    in the organisation. The account stays, with its name and what belongs to other organisations:
    the person deletes it, or an operator. Only for owners. Keys may do it only where the
    installation sets `PERSONAL_DATA_BY_KEY`."""
    check_may_handle_personal_data(request)
    person = member_access.writable_member(actor, id).user
    with use_tenant(None):
        return Status(202, _erase(actor, person, body))


@own_router.get("/members/{id}/data", summary="Download the data of a member", openapi_extra=_ZIP)
@requires("organisation.write")
def download_member_data(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """A ZIP archive of what the organisation stores about a member: keys, requests, audit events
    and invitations of this organisation. Chats, prompts, files and sign-ins are the member's own:
    they download them on their account page. Only for owners. Keys may do it only where the
    installation sets `PERSONAL_DATA_BY_KEY`."""
    check_may_handle_personal_data(request)
    person = member_access.writable_member(actor, id).user
    return _archive(actor, person, erasable_part(actor, person))


@router.get("/people/{id}/erasure", response=ErasureOut, summary="Show the erasure of a person")
@requires("organisations.write")
def read_person_erasure(actor: Actor, id: str) -> ErasureOut:
    """What erasing a person would take away; afterwards, how far it is."""
    operator = operator_actor(actor)
    person = access.access_person(operator, id)
    return _describe_erasure(person, erasable_part(operator, person))


@router.post("/people/{id}/erase", response={202: ErasureOut}, summary="Erase a person")
@requires("organisations.write")
def erase_person(
    request: HttpRequest, actor: Actor, id: str, body: ErasureIn
) -> Status[ErasureOut]:
    """Erases name, email address, sign-ins, chats, prompts and files of a person. The
    ledger, requests and the audit log keep a pseudonym. The last owner of an organisation and the
    last operator cannot be erased. Keys may do it only where the installation sets
    `PERSONAL_DATA_BY_KEY`."""
    operator = operator_actor(actor)
    check_may_handle_personal_data(request)
    person = access.access_person(operator, id)
    return Status(202, _erase(operator, person, body))


@router.get("/people/{id}/data", summary="Download the data of a person", openapi_extra=_ZIP)
@requires("organisations.write")
def download_person_data(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """A ZIP archive of what is stored about a person, without chats, prompts and files, which only
    the person reads: they download them on their account page. Keys may do it only where the
    installation sets `PERSONAL_DATA_BY_KEY`."""
    operator = operator_actor(actor)
    check_may_handle_personal_data(request)
    person = access.access_person(operator, id)
    return _archive(operator, person, erasable_part(operator, person))


def _erase(actor: Actor, person: User, body: ErasureIn) -> ErasureOut:
    if body.email.strip().casefold() != person.email.casefold():
        raise Refused("email", "This is not the address of this person.")
    part = erasable_part(actor, person)
    fates = _fates(actor, person, part, body)
    request_erasure(actor, person, reason=body.reason, fates=fates)
    person.refresh_from_db()
    return _describe_erasure(person, part)


def _fates(
    actor: Actor, person: User, part: Organisation | None, body: ErasureIn
) -> Mapping[UUID, KeyFate]:
    if body.keys == "revoke":
        return {}
    if body.keys_to is None:
        raise Refused("keys_to", "Say who gets the keys.")
    return {
        key.id: KeyFate("transfer", receiver_named(actor, person, key, body.keys_to))
        for key in open_keys(person, part)
        if key.kind == "relay"
    }


def _describe_erasure(person: User, part: Organisation | None) -> ErasureOut:
    erasure = find_erasure(person, part)
    copies = remaining_copies(erasure)
    fields: dict[str, Any] = {"counts": {}, "obstacle": None, "state": "none"}
    if erasure is None:
        would = preview(person, part)
        counts = {name: getattr(would, name) for name in ("chats", "media", "prompts", "views")}
        counts |= {"keys": len(would.keys), "budgets": would.budgets, "sessions": would.sessions}
        fields |= {"counts": counts, "obstacle": would.obstacle or None}
    else:
        running = "waiting" if erasure.waits_for else "running"
        running = FAILED if erasure.waits_for == FAILED else running
        fields |= {"state": "done" if erasure.done_at else running, "counts": erasure.counts}
    return ErasureOut(
        pseudonym=erasure.pseudonym if erasure else None,
        requested_at=erasure.asked_at if erasure else None,
        done_at=erasure.done_at if erasure else None,
        copies=ErasureCopies(
            last_backup_at=copies.backup_at,
            backup_keep_days=copies.keep_days or None,
            detached_months=copies.months,
            sinks=copies.sinks,
        ),
        **fields,
    )


def _archive(actor: Actor, person: User, part: Organisation | None) -> HttpResponse:
    record_download(actor, part, person, content=False)
    files = data_in_organisation(person, part) if part else personal_data(person, content=False)
    body = b"".join(stream_zip(files))
    response = HttpResponse(body, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="person-{person.pk}.zip"'
    response["Cache-Control"] = "private, no-store"
    return response
