"""Erasing a person (P36): who may request it, what is deleted and what stays, and how it begins.

    request_erasure  in one transaction: closes the account, revokes or transfers keys, ends
                     budgets, invitations and memberships
    erase_people     in the background, step by step (steps.py), until nothing is left

The person's row stays under a pseudonym, so that the books, the records and the audit log still
refer to somebody. Nothing says who that was.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts.access.access import AccessDenied, get_by_id
from accounts.access.actors import SYSTEM, Actor, actor_of_member, memberships
from accounts.audit import audit
from accounts.audit.audit import REASON_MAX
from accounts.audit.epoch import bump_epoch
from accounts.keys import keys
from accounts.members import departures, invitations, members
from accounts.members.departures import KeyFate, Receiver
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
from lib.ids import id_text
from lib.refusal import Refused, check_text
from playground.models import Conversation, MediaRun, Preset, Prompt
from usage.models import ChartNote, SavedView

FIRST_STEP: Final = "requests"
REVOKE: Final = KeyFate("revoke")


class Preview(NamedTuple):
    """What erasing a person would remove, in numbers, and the keys to decide on first.
    `shared_prompts` are those of `prompts` that others use."""

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


# Access -----------------------------------------------------------------------------------------


def check_may_erase(actor: Actor, person: User) -> None:
    """Raise AccessDenied unless the actor may erase the person. An operator may erase everybody,
    everybody may erase themselves, and an owner may erase a person who belongs only to the owner's
    organisation."""
    if actor.viewing or actor.model_key:
        raise AccessDenied(gettext("You cannot erase this person."))
    oneself = actor.user == person and actor.key is None
    if oneself or (actor.operator and actor.organisation is None) or actor.installation:
        return
    if actor.role != Role.OWNER or actor.teams is not None:
        raise AccessDenied(gettext("Only an owner can erase a member."))
    others = Membership.objects.filter(user=person).exclude(organisation=actor.organisation)
    if person.operator or others.exists():
        raise AccessDenied(
            gettext(
                "This person also belongs to another organisation or runs this installation. "
                "Remove them from yours instead, or ask an operator to erase them."
            )
        )
    if not Membership.objects.filter(user=person, organisation=actor.organisation).exists():
        raise AccessDenied(gettext("You cannot erase this person."))


def find_erasure(person: User) -> Erasure | None:
    """Return the erasure of a person, or None if none was requested. The caller has checked access
    to the person."""
    return Erasure.objects.filter(user=person).first()


def access_own_erasure(actor: Actor, id: str) -> Erasure:
    """Return an erasure that the actor has requested. Raises Http404."""
    return get_by_id(Erasure.objects.filter(asked_by=actor.user), id)


def obstacle_to(person: User) -> str:
    """Return why a person cannot be erased now, as text for the page, or ""."""
    if person.erased_at is not None or find_erasure(person) is not None:
        return gettext("This person is being erased already.")
    if person.operator and not _other_people(User.objects.filter(operator=True), person).exists():
        return gettext(
            "%(email)s is the last operator of this installation. Make another person an operator "
            "first."
        ) % {"email": person.email}
    for member in _memberships(person).filter(role=Role.OWNER, organisation__archived_at=None):
        owners = User.objects.filter(
            memberships__organisation=member.organisation, memberships__role=Role.OWNER
        )
        if not _other_people(owners, person).exists():
            return gettext(
                "%(email)s is the last owner of %(organisation)s. Make another person an owner, or "
                "archive the organisation first."
            ) % {"email": person.email, "organisation": member.organisation.name}
    return ""


def preview(person: User) -> Preview:
    """Return what an erasure would remove now."""
    prompts = Prompt.objects.filter(user=person)
    return Preview(
        organisations=[member.organisation for member in _memberships(person)],
        keys=open_keys(person),
        budgets=_budgets(person).count(),
        chats=Conversation.objects.filter(user=person).count(),
        media=MediaRun.objects.filter(user=person).count(),
        prompts=prompts.count() + Preset.objects.filter(user=person).count(),
        shared_prompts=prompts.filter(shared=True).count(),
        sessions=len(sessions.living_sessions_of(person)),
        views=SavedView.objects.filter(user=person).count(),
        obstacle=obstacle_to(person),
    )


def open_keys(person: User) -> list[Key]:
    """Return the keys of a person that are not revoked or expired, oldest first."""
    rows = Key.objects.filter(user=person, revoked_at=None)
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
    """Close a person's account permanently, and start the erasure of everything that names them.
    `fates` decides what happens to their keys; others are revoked.

    Raises AccessDenied for a person whom the actor may not erase. Raises Refused for the last
    owner, the last operator, a missing reason, and a key that cannot be transferred as `fates`
    says.
    """
    check_may_erase(actor, person)
    reason = check_text("reason", reason, REASON_MAX)
    if not reason and actor.user != person:
        raise Refused("reason", gettext("Say why this person is erased."))
    fates = fates or {}
    with transaction.atomic():
        # Locks serialise operators who erase each other, and owners likewise.
        operators = User.objects.filter(Q(operator=True) | Q(id=person.id)).order_by("id")
        list(operators.select_for_update(no_key=True))
        owned = Organisation.objects.filter(memberships__user=person).order_by("id")
        list(owned.select_for_update(of=("self",)))
        locked = User.objects.get(id=person.id)
        if obstacle := obstacle_to(locked):
            raise Refused("person", obstacle)
        erasure = Erasure.objects.create(
            user=locked,
            pseudonym=f"erased-{secrets.token_hex(8)}@erased.invalid",
            asked_by=None if actor.user == person else actor.user,
            step=FIRST_STEP,
            **_traces_of(locked),
        )
        audit.record(actor, None, "user.erasure_asked", locked, email=locked.email, reason=reason)
        _settle_keys(actor, locked, fates)
        _leave(locked)
        _close(locked)
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


def _settle_keys(actor: Actor, person: User, fates: Mapping[UUID, KeyFate]) -> None:
    for key in open_keys(person):
        fate = fates.get(key.id, REVOKE)
        if fate.what == "transfer" and fate.to is not None:
            if fate.to not in receivers(actor, person, key):
                text = gettext("Key %(name)s cannot be handed over so. Revoke it instead.")
                raise Refused("keys", text % {"name": key.name})
            departures.transfer_key(_owner_of(key), key, fate.to)
        else:
            keys.revoke_key(SYSTEM, key)


def _leave(person: User) -> None:
    for budget in _budgets(person).select_related("organisation"):
        budgets.remove_budget(replace(SYSTEM, organisation=budget.organisation), budget)
    for member in _memberships(person):
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
    """Prevent any further sign-in as the person, and end invitations to their address."""
    User.objects.filter(id=person.id).update(is_active=False, operator=False)
    person.set_unusable_password()
    person.save(update_fields=["password"])
    sessions.end(person, "user.erasure_asked")
    Invitation.objects.filter(email__iexact=person.email).delete()
    bump_epoch()


def _traces_of(person: User) -> dict[str, list[str] | list[UUID]]:
    """Return the texts that identify the person while their rows exist."""
    addresses = {
        person.email,
        *EmailAddress.objects.filter(user=person).values_list("email", flat=True),
    }
    pairs = list(_named_things(person))
    objects = sorted({name for name, _ in pairs} | {f"user:{person.pk}"})
    texts = {text.strip() for _, text in pairs} | _former_names(objects)
    return {
        "addresses": sorted(addresses),
        "names": [person.name.strip()] if person.name.strip() else [],
        "texts": sorted(texts - {""}),
        "objects_named": objects,
        "organisations": _organisations_of(person),
    }


def _named_things(person: User) -> list[tuple[str, str]]:
    """Return the person's things that the audit log mentions by name: the form of the mention, and
    the name."""
    references: list[tuple[str, str]] = []
    for kind, rows, field in (
        ("membership", Membership.objects.filter(user=person), None),
        ("key", Key.objects.filter(user=person), "name"),
        ("prompt", Prompt.objects.filter(user=person), "name"),
        ("prompt", Prompt.objects.filter(user=person), "slug"),
        ("preset", Preset.objects.filter(user=person), "name"),
        ("conversation", Conversation.objects.filter(user=person), "title"),
        ("savedview", SavedView.objects.filter(user=person), "name"),
        ("chartnote", ChartNote.objects.filter(user=person), "text"),
        ("budgetraise", BudgetRaise.objects.filter(asked_by=person), "reason"),
        ("budgetraise", BudgetRaise.objects.filter(asked_by=person), "answer"),
        ("organisation", _personal_organisations(person), "name"),
        ("organisation", _personal_organisations(person), "slug"),
        ("invitation", Invitation.objects.filter(invited_by=person), "message"),
    ):  # fmt: skip
        for row in rows:
            name = id_text(row.pk) if isinstance(row.pk, UUID) else str(row.pk)
            references.append((f"{kind}:{name}", str(getattr(row, field)) if field else ""))
    return references


def _former_names(objects: list[str]) -> set[str]:
    """Return the former names of these things from the audit log."""
    with connection.cursor() as cursor:
        cursor.execute(_FORMER_NAMES, {"objects": objects})
        return {str(text).strip() for (text,) in cursor.fetchall() if text}


def _organisations_of(person: User) -> list[UUID]:
    """Return every organisation whose data may name the person."""
    with connection.cursor() as cursor:
        cursor.execute(_ORGANISATIONS, {"user": person.pk, "email": person.email})
        return [id for (id,) in cursor.fetchall()]


def _memberships(person: User) -> QuerySet[Membership]:
    rows = Membership.objects.filter(user=person).select_related("organisation", "custom_role")
    return rows.order_by("organisation__name", "id")


def _personal_organisations(person: User) -> QuerySet[Organisation]:
    """Return archived organisations that belong to the person alone."""
    others = Membership.objects.exclude(user=person).values("organisation")
    rows = Organisation.objects.filter(memberships__user=person, archived_at__isnull=False)
    return rows.exclude(id__in=others)


def _budgets(person: User) -> QuerySet[Budget]:
    own_keys = [str(id) for id in Key.objects.filter(user=person).values_list("id", flat=True)]
    return Budget.objects.filter(
        Q(scope=BudgetScope.USER, subject=str(person.pk))
        | Q(scope=BudgetScope.KEY, subject__in=own_keys)
    )


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
    WHERE object_type || ':' || object_id = ANY(%(objects)s::text[]) AND said.value <> ''"""
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
