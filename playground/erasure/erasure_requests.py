"""Erasing a person (P36): what is deleted and what stays, and how it begins.

    request_erasure  in one transaction: closes the account, revokes or transfers keys, ends
                     budgets, invitations and memberships
    erase_people     in the background, step by step (erasure_steps.py), until nothing is left

The person's row stays under a pseudonym, so that the books, the records and the audit log still
refer to somebody. Nothing says who that was.

Each function takes the organisation in which a person is erased (`access.py` decides it), or None
for the whole account.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor, actor_of_member, memberships
from accounts.audit import audit
from accounts.audit.audit import REASON_MAX
from accounts.audit.epoch import bump_epoch
from accounts.keys import departures, keys
from accounts.keys.departures import KeyFate, Receiver
from accounts.members import invitations, members
from accounts.members.pseudonym import Traces
from accounts.models import (
    Erasure,
    Invitation,
    Key,
    Membership,
    Organisation,
    Role,
    User,
)
from accounts.sessions import sessions
from billing.limits import budget_increases, budgets
from billing.models import Budget, BudgetRaise, BudgetScope
from content.models import Prompt
from lib.ids import id_text
from lib.refusal import Refused, check_text
from playground.erasure.access import erasable_part, find_erasure
from playground.models import Conversation, MediaRun, Preset
from usage.models import ChartNote, SavedView

FIRST_STEP: Final = "requests"
REVOKE: Final = KeyFate("revoke")

Row = TypeVar("Row", bound=Model)


class Preview(NamedTuple):
    """What erasing a person would remove, in numbers, and the keys to decide on first: in `part`,
    or everywhere if it is None. `shared_prompts` are those of `prompts` that others use."""

    part: Organisation | None
    organisations: list[Organisation]
    keys: list[Key]
    budgets: int
    chats: int
    media: int
    prompts: int
    shared_prompts: int
    sessions: int
    views: int
    obstacle: str


# Before an erasure ------------------------------------------------------------------------------


def obstacle_to(person: User, part: Organisation | None) -> str:
    """Return why a person cannot be erased now, as text for the page, or ""."""
    if person.erased_at is not None or find_erasure(person, part) is not None:
        return gettext("This person is being erased already.")
    last = not _other_people(User.objects.filter(operator=True), person).exists()
    if person.operator and last and part is None:
        return gettext(
            "%(email)s is the last operator of this installation. Make another person an operator "
            "first."
        ) % {"email": person.email}
    owned = _memberships(person, part).filter(role=Role.OWNER, organisation__archived_at=None)
    for member in owned:
        owners = User.objects.filter(
            memberships__organisation=member.organisation, memberships__role=Role.OWNER
        )
        if not _other_people(owners, person).exists():
            return gettext(
                "%(email)s is the last owner of %(organisation)s. Make another person an owner, or "
                "archive the organisation first."
            ) % {"email": person.email, "organisation": member.organisation.name}
    return ""


def preview(person: User, part: Organisation | None) -> Preview:
    """Return what an erasure would remove now."""
    prompts = rows_of(Prompt, person, part)
    return Preview(
        part=part,
        organisations=[member.organisation for member in _memberships(person, part)],
        keys=open_keys(person, part),
        budgets=_budgets(person, part).count(),
        chats=rows_of(Conversation, person, part).count(),
        media=rows_of(MediaRun, person, part).count(),
        prompts=prompts.count() + rows_of(Preset, person, part).count(),
        shared_prompts=prompts.filter(shared=True).count(),
        sessions=0 if part else len(sessions.living_sessions_of(person)),
        views=rows_of(SavedView, person, part).count(),
        obstacle=obstacle_to(person, part),
    )


def rows_of(
    model: type[Row],
    person: User | str,
    part: Organisation | None,
    *,
    by: str = "user",
    path: str = "",
) -> QuerySet[Row]:
    """Return a person's rows of a table, in one organisation or in all. `by` is the column that
    names the person, or their address; `path` leads to the row that names the organisation."""
    within = {} if part is None else {f"{path}organisation": part}
    return model._default_manager.filter(**within, **{by: person})


def open_keys(person: User, part: Organisation | None) -> list[Key]:
    """Return the keys of a person that are not revoked or expired, oldest first."""
    rows = rows_of(Key, person, part).filter(revoked_at=None)
    return list(rows.select_related("team", "organisation").order_by("id"))


def receivers(actor: Actor, person: User, key: Key) -> list[Receiver]:
    """Return who can receive a key of the person, as far as the actor may decide that."""
    if actor.operator and actor.organisation is None and actor.user != person:
        return departures.receivers(_owner_of(key), key)
    if actor.organisation != key.organisation:
        member = memberships().filter(user=actor.user, organisation=key.organisation).first()
        if actor.user is None or member is None:
            return []
        actor = actor_of_member(actor.user, key.organisation, member)
    return departures.receivers(replace(actor, organisation=key.organisation), key)


# Requesting ------------------------------------------------------------------------------------


def request_erasure(
    actor: Actor, person: User, *, reason: str, fates: Mapping[UUID, KeyFate] | None = None
) -> Erasure:
    """Close a person's account permanently, and start the erasure of everything that names them;
    for an owner, end the membership, and start the erasure of what lies in the organisation.
    `fates` decides what happens to their keys; others are revoked.

    Raises AccessDenied for a person whom the actor may not erase. Raises Refused for the last
    owner, the last operator, a missing reason, and a key that cannot be transferred as `fates`
    says.
    """
    part = erasable_part(actor, person)
    reason = check_text("reason", reason, REASON_MAX)
    if not reason and actor.user != person:
        raise Refused("reason", gettext("Say why this person is erased."))
    fates = fates or {}
    with transaction.atomic():
        # Locks serialise operators who erase each other, and owners likewise. Organisations come
        # first, as where a person is deactivated; those of keys, too, which may be transferred.
        left = _memberships(person, part).order_by().values("organisation")
        keyed = rows_of(Key, person, part).filter(revoked_at=None).values("organisation")
        concerned = Organisation.objects.filter(Q(id__in=left) | Q(id__in=keyed))
        list(concerned.order_by("id").select_for_update(no_key=True))
        operators = User.objects.filter(Q(operator=True) | Q(id=person.id)).order_by("id")
        list(operators.select_for_update(no_key=True))
        locked = User.objects.get(id=person.id)
        if obstacle := obstacle_to(locked, part):
            raise Refused("person", obstacle)
        erasure = Erasure.objects.create(
            user=locked,
            organisation=part,
            pseudonym=f"erased-{secrets.token_hex(8)}@erased.invalid",
            asked_by=None if actor.user == person else actor.user,
            step=FIRST_STEP,
            **_traces_of(locked, part),
        )
        audit.record(actor, part, "user.erasure_asked", locked, email=locked.email, reason=reason)
        _settle_keys(actor, locked, part, fates)
        _leave(locked, part)
        rows_of(Invitation, locked.email, part, by="email__iexact").delete()
        if part is None:
            _close(locked)
        bump_epoch()
    return erasure


def traces_of(erasure: Erasure) -> Traces:
    """Return the texts that a running erasure searches for."""
    return Traces(
        erasure.pseudonym, tuple(erasure.addresses), tuple(erasure.names), tuple(erasure.texts)
    )


def _owner_of(key: Key) -> Actor:
    """Return the installation as an actor that may decide what an owner of the key's organisation
    may."""
    return replace(SYSTEM, organisation=key.organisation, role=Role.OWNER)


def _settle_keys(
    actor: Actor, person: User, part: Organisation | None, fates: Mapping[UUID, KeyFate]
) -> None:
    for key in open_keys(person, part):
        fate = fates.get(key.id, REVOKE)
        if fate.what == "transfer" and fate.to is not None:
            if fate.to not in receivers(actor, person, key):
                text = gettext("Key %(name)s cannot be handed over so. Revoke it instead.")
                raise Refused("keys", text % {"name": key.name})
            departures.transfer_key(_owner_of(key), key, fate.to)
        else:
            keys.revoke_key(SYSTEM, key)


def _leave(person: User, part: Organisation | None) -> None:
    for budget in _budgets(person, part).select_related("organisation"):
        budgets.remove_budget(replace(SYSTEM, organisation=budget.organisation), budget)
    for member in _memberships(person, part):
        organisation = member.organisation
        budget_increases.deny_all_of(SYSTEM, person, organisation)
        invitations.withdraw_all_of(person, organisation, actor=SYSTEM)
        if organisation.archived_at is None:
            members.remove_member(organisation, person.email, actor=SYSTEM)
            continue
        before = members.role_and_teams(member)
        alone = _personal_organisations(person).filter(pk=organisation.pk).exists()
        member.delete()
        audit.record(
            SYSTEM, organisation, "member.removed", person, email=person.email, before=before
        )
        if alone:
            _rename(organisation)


def _rename(organisation: Organisation) -> None:
    """Rename an archived organisation that belonged to this person alone, because it often has
    their name."""
    organisation.name = gettext("Erased organisation")
    organisation.slug = f"erased-{id_text(organisation.pk).lower()}"[:60]
    organisation.save(update_fields=["name", "slug"])


def _close(person: User) -> None:
    """Prevent any further sign-in as the person."""
    User.objects.filter(id=person.id).update(is_active=False, operator=False)
    person.set_unusable_password()
    person.save(update_fields=["password"])
    sessions.end(person, "user.erasure_asked")


def _traces_of(person: User, part: Organisation | None) -> dict[str, list[str] | list[UUID]]:
    """Return the texts that identify the person while their rows exist."""
    addresses = {
        person.email,
        *EmailAddress.objects.filter(user=person).values_list("email", flat=True),
    }
    pairs = list(_named_things(person, part))
    objects = sorted({name for name, _ in pairs} | {f"user:{person.pk}"})
    texts = {text.strip() for _, text in pairs} | _former_names(objects, part)
    return {
        "addresses": sorted(addresses),
        "names": [person.name.strip()] if person.name.strip() else [],
        "texts": sorted(texts - {""}),
        "objects_named": objects,
        "organisations": _organisations_of(person) if part is None else [part.pk],
    }


def _named_things(person: User, part: Organisation | None) -> list[tuple[str, str]]:
    """Return the person's things that the audit log mentions by name: the form of the mention, and
    the name."""
    references: list[tuple[str, str]] = []
    raises = rows_of(BudgetRaise, person, part, by="asked_by", path="budget__")
    own = _personal_organisations(person) if part is None else Organisation.objects.none()
    for kind, rows, field in (
        ("membership", _memberships(person, part), None),
        ("key", rows_of(Key, person, part), "name"),
        ("prompt", rows_of(Prompt, person, part), "name"),
        ("prompt", rows_of(Prompt, person, part), "slug"),
        ("preset", rows_of(Preset, person, part), "name"),
        ("conversation", rows_of(Conversation, person, part), "title"),
        ("savedview", rows_of(SavedView, person, part), "name"),
        ("chartnote", rows_of(ChartNote, person, part), "text"),
        ("budgetraise", raises, "reason"),
        ("budgetraise", raises, "answer"),
        ("organisation", own, "name"),
        ("organisation", own, "slug"),
        ("invitation", rows_of(Invitation, person, part, by="invited_by"), "message"),
    ):  # fmt: skip
        for row in rows:
            name = id_text(row.pk) if isinstance(row.pk, UUID) else str(row.pk)
            references.append((f"{kind}:{name}", str(getattr(row, field)) if field else ""))
    return references


def _former_names(objects: list[str], part: Organisation | None) -> set[str]:
    """Return the former names of these things from the audit log."""
    with connection.cursor() as cursor:
        cursor.execute(_FORMER_NAMES, {"objects": objects, "part": part.pk if part else None})
        return {str(text).strip() for (text,) in cursor.fetchall() if text}


def _organisations_of(person: User) -> list[UUID]:
    """Return every organisation whose data may name the person."""
    with connection.cursor() as cursor:
        cursor.execute(_ORGANISATIONS, {"user": person.pk, "email": person.email})
        return [id for (id,) in cursor.fetchall()]


def _memberships(person: User, part: Organisation | None) -> QuerySet[Membership]:
    rows = rows_of(Membership, person, part).select_related("organisation", "custom_role")
    return rows.order_by("organisation__name", "id")


def _personal_organisations(person: User) -> QuerySet[Organisation]:
    """Return archived organisations that belong to the person alone."""
    others = Membership.objects.exclude(user=person).values("organisation")
    rows = Organisation.objects.filter(memberships__user=person, archived_at__isnull=False)
    return rows.exclude(id__in=others)


def _budgets(person: User, part: Organisation | None) -> QuerySet[Budget]:
    own_keys = [str(id) for id in rows_of(Key, person, part).values_list("id", flat=True)]
    rows = Budget.objects.filter(
        Q(scope=BudgetScope.USER, subject=str(person.pk))
        | Q(scope=BudgetScope.KEY, subject__in=own_keys)
    )
    return rows if part is None else rows.filter(organisation=part)


def _other_people(people: QuerySet[User], person: User) -> QuerySet[User]:
    return people.filter(is_active=True).exclude(pk=person.pk)


def receiver_named(actor: Actor, person: User, key: Key, name: str) -> Receiver:
    """Return the receiver with that address, or the service account with that name. Raises
    Refused."""
    for receiver in receivers(actor, person, key):
        if departures.name_of(receiver).casefold() == name.casefold():
            return receiver
    text = gettext("Key %(name)s cannot be handed over so. Revoke it instead.")
    raise Refused("keys_to", text % {"name": key.name})


_FORMER_NAMES: Final = """
    SELECT DISTINCT said.value FROM accounts_auditevent event
    CROSS JOIN LATERAL (
        SELECT part->>name AS value
        FROM unnest(ARRAY[detail, detail->'before', detail->'after']) part,
             unnest(ARRAY['name', 'slug', 'title', 'text']) name
        WHERE jsonb_typeof(part) = 'object'
    ) said
    WHERE object_type || ':' || object_id = ANY(%(objects)s::text[]) AND said.value <> ''
      AND (%(part)s::uuid IS NULL OR organisation_id = %(part)s)"""
_ORGANISATIONS: Final = """
    SELECT organisation_id FROM accounts_membership WHERE user_id = %(user)s
    UNION SELECT organisation_id FROM accounts_key WHERE user_id = %(user)s
    UNION SELECT organisation_id FROM accounts_invitation WHERE lower(email) = lower(%(email)s)
    UNION SELECT organisation_id FROM usage_dayrollup WHERE user_id = %(user)s
    UNION SELECT organisation_id FROM usage_rollup WHERE user_id = %(user)s
    UNION SELECT organisation_id FROM accounts_auditevent
        WHERE organisation_id IS NOT NULL AND (
            actor_user_id = %(user)s
            OR (object_type = 'user' AND object_id = %(user)s::text))"""
