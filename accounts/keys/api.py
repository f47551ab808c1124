"""The management API of keys and service accounts. Pages call the same functions."""

import datetime as dt
from typing import Annotated, Any, Final, Literal

from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext
from ninja import Query, Status
from pydantic import Field

from accounts.access import access, actors
from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.audit.changes import lock_row
from accounts.keys import choices, keys, limited_subjects, service_accounts
from accounts.limits.answer_cache import SECONDS_MAX, SECONDS_MIN
from accounts.limits.rules import LIMIT_MAX
from accounts.members.access import find_role, role_name
from accounts.models import CustomRole, Key, KeyKind, Role, ServiceAccount, User
from accounts.names.names import NAME_MAX
from accounts.secrets import key_lookup
from lib import clock
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole
from lib.refusal import Refused

router = Router(tags=["Keys"])

Count = Annotated[int, Field(ge=1, le=LIMIT_MAX, strict=True)]
CacheSeconds = Annotated[int, Field(ge=0, le=SECONDS_MAX, strict=True)]
Percent = Annotated[int, Field(ge=0, le=100, strict=True)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
HeaderName = Annotated[str, Field(max_length=100)]
Pattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
Label = Literal["project", "customer", "tags"]
_NEVER_NULL: Final = (
    *("name", "models", "disabled", "endpoints", "networks", "tags", "required_labels"),
    *("log_content", "zero_retention", "data_regions", "cache_price_percent"),
    *("end_user_header", "end_user_networks", "end_users_signed"),
)  # fmt: skip


class KeyIn(RequestBody):
    """A new key. By default, it belongs to the person or service account that creates it."""

    name: str = Field(min_length=1, max_length=120, description="Unique among active keys.")
    kind: Literal["relay", "management"] = Field(
        "relay", description="`relay` calls models; `management` can do what your role allows."
    )
    team: str | None = Field(None, description="Slug of the team. Default: your first team.")
    service_account: str | None = Field(
        None, description="ID of a service account of the team. Default: the key belongs to you."
    )
    owner: str | None = Field(
        None,
        min_length=3,
        max_length=254,
        description="Email address of the member of the team to whom the key belongs. Default: "
        "you. For another person, you need the permissions to have keys of your own and to change "
        "the keys of others.",
    )
    project: str | None = Field(None, description="Slug of a project of the team.")
    models: list[Pattern] = Field(
        default_factory=list,
        max_length=100,
        description="Names or patterns (`gpt-*`) the key may use. Empty: all.",
    )
    expires_at: Instant | None = Field(None, description="When the key expires.")
    rpm: Count | None = Field(None, description="Requests over any 60 seconds.")
    tpm: Count | None = Field(None, description="Language-model tokens over any 60 seconds.")
    parallel: Count | None = Field(None, description="Requests that may run at the same time.")
    endpoints: list[Word] = Field(
        default_factory=list, description="Endpoints the key may use, by name. Empty: all."
    )
    networks: list[Word] = Field(
        default_factory=list, description="Networks the key may be used from. Empty: all."
    )
    tags: list[Word] = Field(
        default_factory=list,
        description="Added to every request made with this key, for grouping and budgets. "
        "Each has 1 to 100 visible characters and no space at the start or end.",
    )
    required_labels: list[Label] = Field(
        default_factory=list, description="Labels that every request must have."
    )
    log_content: bool = Field(True, description="Whether content may be stored temporarily.")
    zero_retention: bool = Field(
        False, description="Only use providers that keep no data of requests."
    )
    data_regions: list[Word] = Field(
        default_factory=list, description="Only use providers in these regions. Empty: any."
    )
    cache_seconds: CacheSeconds | None = Field(
        None,
        description=f"For how many seconds ({SECONDS_MIN} to {SECONDS_MAX:,}) Weir answers "
        "identical requests with a stored answer. 0: never. Null: as in the team.",
    )
    cache_price_percent: Percent = Field(
        0, description="What such an answer is charged, as a share of the first request's charge."
    )
    end_user_header: HeaderName = Field(
        "",
        description="The header in which an application names its end users, in lower case, such "
        "as `x-openwebui-user-email`. Empty: none. With a header, the key needs "
        "`end_user_networks`, `end_users_signed` or both. To set a header, you need the permission "
        "to change the keys of others in the team.",
    )
    end_user_networks: list[Word] = Field(
        default_factory=list,
        description="The networks from which Weir accepts the header `end_user_header`. Empty: any "
        "network, if the header is signed.",
    )
    end_users_signed: bool = Field(
        False,
        description="The header must be a JWT (HS256) with an `exp`, signed with the key's "
        "end-user secret. The JWT's claim `email` names the end user. If there is no `email`, the "
        "claim `sub` names the end user.",
    )


class LimitChange(RequestBody):
    """Changes to the limits of an organisation, a team or a person."""

    scope: Literal["organisation", "team", "user"]
    subject: str = Field(
        "",
        max_length=254,
        description="A team's slug or a person's email address; empty for the organisation.",
    )
    rpm: Count | None = Field(None, description="Requests over any 60 seconds.")
    tpm: Count | None = Field(None, description="Language-model tokens over any 60 seconds.")
    parallel: Count | None = Field(None, description="Requests that may run at the same time.")


class LimitOut(Schema):
    scope: str
    subject: str
    rpm: int | None
    tpm: int | None
    parallel: int | None


class LimitPage(Schema):
    items: list[LimitOut]
    next: str | None


class KeyChange(RequestBody):
    """Changes to a key. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=120)
    models: list[Pattern] | None = Field(None, max_length=100)
    expires_at: Instant | None = None
    disabled: bool | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    parallel: Count | None = None
    endpoints: list[Word] | None = None
    networks: list[Word] | None = None
    tags: list[Word] | None = None
    project: str | None = Field(None, description="Slug of a project of the key's team.")
    required_labels: list[Label] | None = None
    log_content: bool | None = None
    zero_retention: bool | None = None
    data_regions: list[Word] | None = None
    cache_seconds: CacheSeconds | None = None
    cache_price_percent: Percent | None = None
    end_user_header: HeaderName | None = None
    end_user_networks: list[Word] | None = None
    end_users_signed: bool | None = None


class KeyRotation(RequestBody):
    """How to rotate a key."""

    grace_hours: Whole = Field(
        keys.GRACE_HOURS,
        ge=0,
        le=keys.GRACE_HOURS_MAX,
        description="How long the old secret keeps working; 0 if it was leaked.",
    )


class FormerSecretOut(Schema):
    """A previous secret that keeps working until its end, although the key was rotated."""

    last4: str
    until: dt.datetime
    last_used_at: dt.datetime | None = Field(description="Null: not known to have been used.")


class LastUseOut(Schema):
    """When, from where and with what a key was last used."""

    at: dt.datetime
    address: str | None = Field(
        description="Null for the playground, and for those who may neither change the key nor "
        "read the audit log."
    )
    client: str | None = Field(
        description="The program as its User-Agent names it, such as `OpenAI/Python 2.1.0`; "
        "`playground` for the playground."
    )


class KeyOut(Schema):
    """A key as it is shown after its creation, without its secret."""

    id: str
    name: str
    kind: str
    state: Literal["active", "disabled", "expired", "revoked"]
    disabled: bool
    prefix: str
    last4: str
    team: str
    owner: str | None = Field(description="Email address of the person it belongs to.")
    service_account: str | None = Field(description="ID of the service account it belongs to.")
    project: str | None = Field(description="Slug of its project.")
    models: list[str]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    rpm: int | None
    tpm: int | None
    parallel: int | None
    endpoints: list[str]
    networks: list[str]
    tags: list[str]
    required_labels: list[str]
    log_content: bool
    zero_retention: bool
    data_regions: list[str]
    cache_seconds: int | None
    cache_price_percent: int
    end_user_header: str
    end_user_networks: list[str]
    end_users_signed: bool
    former_secrets: list[FormerSecretOut] = Field(
        description="Former secrets that still work after a rotation."
    )
    last_used: LastUseOut | None = Field(
        description="Null if it was never used. Up to a few seconds late."
    )


class NewKeyOut(KeyOut):
    """The response to creating or rotating a key, the only one with its secret."""

    secret: str = Field(
        description="The secret of the key. It is not stored and never shown again."
    )


class EndUserSecretOut(Schema):
    secret: str = Field(description="The secret of HS256. It is not stored, and can be read again.")


class KeyPage(Schema):
    items: list[KeyOut]
    next: str | None


class KeyQuery(pagination.NamedPageQuery):
    state: Literal["living", "all"] = Field("living", description="`living` excludes revoked keys.")


@router.get("/keys", response=KeyPage, summary="List keys")
def list_keys(actor: Actor, query: Query[KeyQuery]) -> KeyPage:
    """The keys you have access to, newest first. A model key sees itself."""
    rows = access.visible_keys(actor)
    if query.state == "living":
        rows = rows.filter(revoked_at=None)
    rows = query.filter_by_name(rows).prefetch_related("uses")
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return KeyPage(
        items=[KeyOut(**_serialize_key(actor, key)) for key in page.items], next=page.next
    )


@router.post("/keys", response={201: NewKeyOut}, summary="Create a key")
def create_key(actor: Actor, body: KeyIn) -> Status[NewKeyOut]:
    """Creates a key of your own, of a service account or of another member. Its secret is only in
    this response."""
    account, user = None, actor.user
    if body.service_account and body.owner:
        text = gettext("A key belongs to a member or to a service account: name only one of them.")
        raise keys.KeyRefused("owner", text)
    if body.service_account:
        account = access.writable_service_account(actor, body.service_account)
    elif body.owner:
        access.require(actor, "keys.write_own")
        user = _find_owner(actor, body.owner)
    else:
        access.require(actor, "keys.write_own")
        account = access.account_of(actor)
    key, text = keys.mint_key(
        actor,
        access.access_team(actor, body.team),
        body.name,
        kind=KeyKind(body.kind),
        user=None if account else user,
        service_account=account,
        project=access.access_project(actor, body.project) if body.project else None,
        model_patterns=body.models,
        expires_at=body.expires_at,
        **{name: getattr(body, name) for name in keys.LIMITS},
    )
    return Status(201, NewKeyOut(**_serialize_key(actor, key), secret=text))


def _find_owner(actor: Actor, email: str) -> User:
    """Return the person with this address. Raises KeyRefused for one whom the actor cannot name."""
    if actor.user is not None and actor.user.email.lower() == email.lower():
        return actor.user
    for member in choices.colleagues_of(actor):
        if member.user.email.lower() == email.lower():
            return member.user
    text = gettext("You can see no active member with keys who has the address %(email)s.")
    raise keys.KeyRefused("owner", text % {"email": email})


@router.get("/keys/{id}", response=KeyOut, summary="Show a key")
def show_key(actor: Actor, id: str) -> KeyOut:
    """One key you have access to."""
    return KeyOut(**_serialize_key(actor, access.access_key(actor, id)))


@router.patch("/keys/{id}", response=KeyOut, summary="Change a key")
def change_key(actor: Actor, id: str, body: KeyChange) -> KeyOut:
    """Changes the given fields; a limit of `null` means none. Takes effect everywhere within a
    second."""
    fields = body.dict(exclude_unset=True)
    for name in _NEVER_NULL:
        if name in fields and fields[name] is None:
            raise keys.KeyRefused(name, f"{name} cannot be null: leave it out, or give a value.")
    if "models" in fields:
        fields["model_patterns"] = fields.pop("models")
    if fields.get("project"):
        fields["project"] = access.access_project(actor, fields["project"])
    key = keys.change_key(actor, access.writable_key(actor, id), **fields)
    return KeyOut(**_serialize_key(actor, key))


@router.post("/keys/{id}/rotate", response=NewKeyOut, summary="Rotate a key")
def rotate_key(actor: Actor, id: str, body: KeyRotation) -> NewKeyOut:
    """Gives a key a new secret, which is only in this response. The key keeps its ID, limits,
    budgets and usage; the old secret keeps working during the grace period."""
    key, text = keys.rotate_key(actor, access.writable_key(actor, id), body.grace_hours)
    return NewKeyOut(**_serialize_key(actor, key), secret=text)


@router.get(
    "/keys/{id}/end-user-secret", response=EndUserSecretOut, summary="Show the end-user secret"
)
def show_end_user_secret(actor: Actor, id: str) -> EndUserSecretOut:
    """The secret with which an application signs the names of its end users. It changes with the
    key's own secret. Only a key that works and whose end users are signed has one. The audit log
    records each reading."""
    key = access.writable_key(actor, id)
    return EndUserSecretOut(secret=keys.read_end_user_secret(actor, key))


@router.delete("/keys/{id}/former-secrets", response=KeyOut, summary="End former secrets")
def end_former_secrets(actor: Actor, id: str) -> KeyOut:
    """Ends the grace period of all former secrets of a key. Its current secret keeps working."""
    key = keys.end_former_secrets(actor, access.writable_key(actor, id))
    return KeyOut(**_serialize_key(actor, key))


@router.delete("/keys/{id}", response=KeyOut, summary="Revoke a key")
def revoke_key(actor: Actor, id: str) -> KeyOut:
    """Permanently revokes a key. It stops working with the next request."""
    key = keys.revoke_key(actor, access.writable_key(actor, id))
    return KeyOut(**_serialize_key(actor, key))


def _serialize_key(actor: Actor, key: Key) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": id_text(key.id),
        "name": key.name,
        "kind": key.kind,
        "state": key_lookup.key_state(key, now),
        "disabled": key.disabled,
        "prefix": key.prefix,
        "last4": key.last4,
        "team": key.team.slug,
        "owner": key.user.email if key.user else None,
        "service_account": id_text(key.service_account_id) if key.service_account_id else None,
        "project": key.project.slug if key.project else None,
        "models": key.model_patterns,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        **{name: getattr(key, name) for name in keys.LIMITS},
        "former_secrets": [
            {
                "last4": former.last4,
                "until": former.until,
                "last_used_at": use.at if use else None,
            }
            for former, use in key_lookup.former_uses(key, now)
        ],
        "last_used": _last_used(actor, key),
    }


def _last_used(actor: Actor, key: Key) -> dict[str, Any] | None:
    use = key_lookup.last_use(key)
    if use is None:
        return None
    address = use.address if access.may_see_address(actor, key) else ""
    return {"at": use.at, "address": address or None, "client": use.client or None}


@router.get("/limits", response=LimitPage, summary="List limits")
def list_limits(actor: Actor, query: Query[pagination.PageQuery]) -> LimitPage:
    """Limits of the organisation, its teams and its people. Keys have their own."""
    subjects = limited_subjects.limited_subjects(actor)
    page = pagination.page_by_key(
        subjects, query.limit, query.cursor, lambda subject: f"{subject.scope}:{subject.id}"
    )
    return LimitPage(items=[_limit(subject) for subject in page.items], next=page.next)


@router.patch("/limits", response=LimitOut, summary="Change limits")
def change_limits(actor: Actor, body: LimitChange) -> LimitOut:
    """Changes the given fields; `null` means no limit. Takes effect everywhere within a second."""
    limited = limited_subjects.limited_subject(actor, body.scope, body.subject)
    if limited is None:
        raise Http404
    fields = body.dict(exclude_unset=True, exclude={"scope", "subject"})
    return _limit(limited._replace(limited=keys.change_limits(actor, limited.limited, **fields)))


def _limit(subject: limited_subjects.Subject) -> LimitOut:
    counts = {name: getattr(subject.limited, name) for name in ("rpm", "tpm", "parallel")}
    return LimitOut(scope=subject.scope, subject=subject.id, **counts)


class ServiceAccountIn(RequestBody):
    """A new service account."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    team: str = Field(max_length=60, description="Slug of its team.")
    role: str = Field(
        "developer", max_length=60, description="A built-in role or the name of a custom role."
    )


class ServiceAccountChange(RequestBody):
    """Changes to a service account. Omitted fields stay as they are."""

    role: str | None = Field(
        None, max_length=60, description="A built-in role or the name of a custom role."
    )
    disabled: bool | None = Field(None, description="Keys of a disabled account are rejected.")


class ServiceAccountOut(Schema):
    id: str
    name: str
    team: str
    role: str
    disabled: bool
    created_at: dt.datetime


class ServiceAccountPage(Schema):
    items: list[ServiceAccountOut]
    next: str | None


@router.get("/service-accounts", response=ServiceAccountPage, summary="List service accounts")
def list_service_accounts(
    actor: Actor, query: Query[pagination.NamedPageQuery]
) -> ServiceAccountPage:
    """Service accounts of your teams, newest first."""
    rows = access.visible_service_accounts(actor).order_by("-id")
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return ServiceAccountPage(items=[_serialize_account(row) for row in page.items], next=page.next)


@router.post(
    "/service-accounts", response={201: ServiceAccountOut}, summary="Create a service account"
)
def create_service_account(actor: Actor, body: ServiceAccountIn) -> Status[ServiceAccountOut]:
    """Creates a holder of keys that belongs to a team and to no person."""
    team = access.keyed_team(actor, body.team)
    role, custom_role = _role(actor, body.role)
    account = service_accounts.create_service_account(
        team, body.name, role, custom_role=custom_role, actor=actor
    )
    return Status(201, _serialize_account(account))


@router.get("/service-accounts/{id}", response=ServiceAccountOut, summary="Show a service account")
def show_service_account(actor: Actor, id: str) -> ServiceAccountOut:
    """One service account of your teams."""
    return _serialize_account(access.access_service_account(actor, id))


@router.delete(
    "/service-accounts/{id}", response=ServiceAccountOut, summary="Disable a service account"
)
def disable_service_account(actor: Actor, id: str) -> ServiceAccountOut:
    """Its keys are rejected from now on. The account stays, because records name it; it can be
    enabled again."""
    account = access.writable_service_account(actor, id)
    with transaction.atomic():
        account = lock_row(account)
        changed = service_accounts.change_service_account(
            account,
            role=Role(account.role),
            custom_role=account.custom_role,
            disabled=True,
            actor=actor,
        )
    return _serialize_account(changed)


@router.patch(
    "/service-accounts/{id}", response=ServiceAccountOut, summary="Change a service account"
)
def change_service_account(actor: Actor, id: str, body: ServiceAccountChange) -> ServiceAccountOut:
    """Changes its role, disables or enables it."""
    account = access.writable_service_account(actor, id)
    new_role = _role(actor, body.role) if body.role is not None else None
    with transaction.atomic():
        account = lock_row(account)
        role, custom_role = new_role or (Role(account.role), account.custom_role)
        changed = service_accounts.change_service_account(
            account,
            role=role,
            custom_role=custom_role,
            disabled=account.disabled if body.disabled is None else body.disabled,
            actor=actor,
        )
    return _serialize_account(changed)


def _role(actor: actors.Actor, name: str) -> tuple[Role, CustomRole | None]:
    """Return the role with that name. Raises Refused if the organisation has no such role."""
    role = find_role(actor, name)
    if role is None:
        raise Refused("role", f"There is no role named {name}.")
    return role


def _serialize_account(account: ServiceAccount) -> ServiceAccountOut:
    return ServiceAccountOut(
        id=id_text(account.id),
        name=account.name,
        team=account.team.slug,
        role=role_name(account),
        disabled=account.disabled,
        created_at=account.created_at,
    )
