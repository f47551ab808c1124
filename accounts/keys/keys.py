"""API keys: create, import, change, rotate, revoke. Each write is audited and notifies relays."""

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access.access import account_of, reaches_team
from accounts.access.actors import Actor, authority_of_member
from accounts.audit import audit
from accounts.audit.changes import lock_row, read_again
from accounts.audit.epoch import bump_epoch
from accounts.keys.reach import Reach, first_field_beyond
from accounts.limits.rules import LimitInvalid, check_limits
from accounts.members.members import authority_of, check_grant
from accounts.models import (
    FormerSecret,
    Key,
    KeyKind,
    Membership,
    Organisation,
    Project,
    ServiceAccount,
    Team,
    User,
)
from accounts.names.names import PLAYGROUND_NAME, check_name, number_names
from accounts.roles.authority import Authority
from accounts.roles.authority import first_action_beyond as first_beyond_authority
from accounts.roles.rules import HAS_KEYS
from accounts.secrets import key_format, key_lookup
from accounts.secrets.key_lookup import digest_of as digest_of
from accounts.secrets.key_lookup import digest_of_hash as digest_of_hash
from accounts.secrets.key_lookup import key_state
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused

GRACE_HOURS: Final = 24
"""How long the old secret works after a rotation by default."""
GRACE_HOURS_MAX: Final = 168
"""How long it may work at most (docs/promises.md, "API keys")."""

END_USERS = ("end_user_header", "end_user_networks", "end_users_signed")
"""How a key's requests name their end users. Whoever sets them decides whose budgets are used."""

LIMITS = (
    *("rpm", "tpm", "parallel", "endpoints", "networks", "tags", "required_labels", "log_content"),
    *("zero_retention", "data_regions", "cache_seconds", "cache_price_percent"),
    *END_USERS,
)
"""The restrictions of a key besides its models and its end; see `accounts.models.Key`."""

_CHANGEABLE = ("name", "project", "model_patterns", "expires_at", "disabled")
_REACH = tuple(Reach.__dataclass_fields__)
# Restrictions that a management key cannot have, because they list operations that it never calls.
_OF_MODELS = {"model_patterns": "models", "endpoints": "endpoints"}


class KeyRefused(Refused):
    """The key cannot be created or changed in this way."""


@transaction.atomic
def mint_key(
    actor: Actor,
    team: Team,
    name: str,
    *,
    kind: KeyKind = KeyKind.RELAY,
    user: User | None,
    service_account: ServiceAccount | None = None,
    project: Project | None = None,
    model_patterns: Sequence[str] = (),
    expires_at: dt.datetime | None = None,
    **limits: Any,
) -> tuple[Key, str]:
    """Create a key and return it with its text, which is not stored. `limits` are LIMITS.

    The key belongs to a person, to a service account of its team, or to nobody. Raises KeyRefused
    for: a name that an active key of the organisation has; an expiry in the past; a management key
    without a holder (it acts with its holder's role), or with lists that only apply to model calls;
    a person outside its team; a service account or project of another team; END_USERS of an actor
    who does not manage the team's keys; a key that exceeds the calling key, or a holder who exceeds
    the caller (P23).
    """
    if kind == KeyKind.MANAGEMENT and user is None and service_account is None:
        text = gettext("A management key must belong to a person or a service account.")
        raise KeyRefused("user", text)
    if service_account is not None:
        _check_service_account(actor, service_account, team, kind)
    if user != actor.user or service_account != account_of(actor):
        _check_manages(actor, team)
    if user is not None and user != actor.user and not actor.installation:
        _check_colleague(user, team, kind)
    # The project is not moved before the key is in it.
    project = project and lock_row(project)
    _check_project(project, team)
    _check(limits)
    key = Key(
        organisation=team.organisation,
        team=team,
        user=user,
        service_account=service_account,
        project=project,
        name=name,
        kind=kind,
        model_patterns=list(model_patterns),
        created_by=actor.user,
        expires_at=expires_at,
        # Set these defaults now, because the checks below need them; the database's apply only at
        # the insert.
        **{"endpoints": [], "networks": [], **limits},
    )
    _check_kind(key)
    if any(limits.get(field) for field in END_USERS):
        _check_names_end_users(actor, team)
    _check_end_users(key)
    _check_reach(actor, _reach_of(key))
    text = _new_text(kind)
    return _save(actor, "key.created", key, text), text


def mint_numbered_key(actor: Actor, team: Team, name: str, **fields: Any) -> tuple[Key, str]:
    """Create a key as `mint_key` does, under a name that we choose. If an active key has the name,
    a number is added, such as `Claude Code 2`. Keys that are created concurrently get different
    names."""
    living = Key.objects.filter(organisation=team.organisation, revoked_at=None)
    taken = set(living.filter(name__startswith=name).values_list("name", flat=True))
    for free in number_names(name):
        if free not in taken:
            try:
                return mint_key(actor, team, free, **fields)
            except KeyRefused as refused:
                # A concurrent request took the name.
                if refused.field != "name" or not refused.already_exists:
                    raise
    raise AssertionError("names are not numbered without end")


def import_key(
    actor: Actor,
    team: Team,
    name: str,
    text: str,
    *,
    user: User | None = None,
    service_account: ServiceAccount | None = None,
) -> Key:
    """Create a model key with a given text, from another system or a configuration file.

    It belongs to a person, to a service account of its team, or to nobody. The text must have at
    least 20 characters; with our own prefix, its checksum must be correct. Raises KeyRefused
    otherwise, and when a key with this text exists.
    """
    if key_format.check(text) not in (key_format.KeyForm.OWN, key_format.KeyForm.FOREIGN):
        raise KeyRefused(
            "secret",
            gettext(
                "This secret cannot be used. It needs at least 20 printable characters "
                "without spaces. If it starts with sk-weir-, its checksum must be correct."
            ),
        )
    if service_account is not None:
        _check_service_account(actor, service_account, team, KeyKind.RELAY)
    key = Key(
        organisation=team.organisation,
        team=team,
        user=user,
        service_account=service_account,
        name=name,
        created_by=actor.user,
    )
    return _save(actor, "key.brought", key, text)


def import_hashed_key(
    actor: Actor,
    team: Team,
    name: str,
    sha256_digest: bytes,
    *,
    last4: str = "",
    user: User | None = None,
) -> Key:
    """Create a model key from another system that stores only the SHA-256 of its text. Clients send
    the text as before. Raises KeyRefused if it was imported before."""
    key = Key(
        organisation=team.organisation, team=team, user=user, name=name, created_by=actor.user
    )
    key.digest = digest_of_hash(sha256_digest)
    key.prefix, key.last4 = "", last4
    return _insert(actor, "key.brought", key)


def change_key(actor: Actor, key: Key, **changes: Any) -> Key:
    """Set `name`, `project`, `model_patterns`, `expires_at`, `disabled` or one of LIMITS of an
    active key. Values that do not change are left out; without changes nothing is written or
    audited. Raises KeyRefused when the name is taken, or when the calling key is narrower than the
    change."""
    with transaction.atomic():
        if changes.get("project") is not None:
            # Before the key, as a project that moves with its keys does.
            changes["project"] = lock_row(changes["project"])
        locked = Key.objects.select_for_update().get(id=key.id)
        changed = {
            field: value for field, value in changes.items() if getattr(locked, field) != value
        }
        unknown = changed.keys() - {*_CHANGEABLE, *LIMITS}
        if unknown:
            raise TypeError(f"not a changeable field of a key: {', '.join(sorted(unknown))}")
        if not changed:
            return locked
        _check(changed)
        _check_project(changed.get("project"), locked.team)
        if "name" in changed:
            _check_name(changed["name"])
        before = {field: _json_value(getattr(locked, field)) for field in changed}
        reach = _reach_of(locked)
        for field, value in changed.items():
            setattr(locked, field, value)
        _check_kind(locked)
        if not changed.keys().isdisjoint(END_USERS):
            _check_names_end_users(actor, locked.team)
        _check_end_users(locked)
        enabled = changed.get("disabled") is False
        if enabled or first_field_beyond(_reach_of(locked), reach):
            _check_reach(actor, _reach_of(locked))
        with _refuse_duplicates(locked):
            locked.save(update_fields=list(changed))
        after = {field: _json_value(value) for field, value in changed.items()}
        audit.record(actor, locked.organisation, "key.changed", locked, before=before, after=after)
        bump_epoch()
    return locked


def rotate_key(actor: Actor, key: Key, grace_hours: int) -> tuple[Key, str]:
    """Replace the text of a key and return the new text, which is not stored. Everything else
    stays.

    The previous text, and older ones that still work, stay valid for at most `grace_hours`; with 0
    they end with the next request. Raises KeyRefused for a key that has ended, and for a key that
    exceeds the calling key or person, because the new text gives all of the key's access.
    """
    if not 0 <= grace_hours <= GRACE_HOURS_MAX:
        message = gettext("The grace period must be between 0 and %(n)s hours.") % {
            "n": GRACE_HOURS_MAX
        }
        raise KeyRefused("grace_hours", message)
    with transaction.atomic():
        locked = Key.objects.select_for_update().get(id=key.id)
        now = clock.now()
        if locked.kind == KeyKind.PLAYGROUND:
            raise KeyRefused("key", gettext("The playground's own key has no secret to rotate."))
        if key_state(locked, now) in ("revoked", "expired"):
            ended = gettext("Key %(name)s is no longer active. Create a new one.") % {
                "name": locked.name
            }
            raise KeyRefused("key", ended)
        _check_reach(actor, _reach_of(locked))
        _check_holder(actor, locked)
        until = now + dt.timedelta(hours=grace_hours)
        locked.former_secrets.filter(until__gt=until).update(until=until)
        FormerSecret.objects.create(
            digest=locked.digest, key=locked, last4=locked.last4, until=until
        )
        before, text = locked.last4, _new_text(KeyKind(locked.kind))
        _give(locked, text)
        locked.save(update_fields=["digest", "prefix", "last4"])
        detail = {"before": {"last4": before}, "after": {"last4": locked.last4}}
        until_text = until.isoformat()
        audit.record(actor, locked.organisation, "key.rotated", locked, until=until_text, **detail)
        bump_epoch()
    return locked, text


def read_end_user_secret(actor: Actor, key: Key) -> str:
    """Return the secret with which an application signs the names of its end users, and record that
    the actor reads it. Raises Http404 for a key that has ended, or whose end users are not
    signed."""
    with transaction.atomic():
        present = read_again(key)
        ended = key_state(present, clock.now()) in ("revoked", "expired")
        if ended or not present.end_users_signed:
            raise Http404
        audit.record(actor, present.organisation, "key.end_user_secret_read", present)
        return key_lookup.end_user_secret(present)


def end_former_secrets(actor: Actor, key: Key) -> Key:
    """End the grace period of a key's former secrets. The current secret keeps working."""
    with transaction.atomic():
        locked = Key.objects.select_for_update().get(id=key.id)
        now = clock.now()
        living = locked.former_secrets.filter(until__gt=now)
        ended = sorted(living.values_list("last4", flat=True))
        if ended:
            living.update(until=now)
            audit.record(
                actor, locked.organisation, "key.former_secrets_ended", locked, last4=ended
            )
            bump_epoch()
    return locked


def revoke_key(actor: Actor, key: Key) -> Key:
    """Revoke a key permanently, from the next request on. A key that has ended stays as it is."""
    with transaction.atomic():
        locked = Key.objects.select_for_update().get(id=key.id)
        if locked.kind == KeyKind.PLAYGROUND:
            raise KeyRefused("key", gettext("The playground's own key cannot be revoked."))
        if locked.revoked_at is None:
            locked.revoked_at = clock.now()
            locked.save(update_fields=["revoked_at"])
            audit.record(actor, locked.organisation, "key.revoked", locked, name=locked.name)
            bump_epoch()
    return locked


def make_playground_key(organisation: Organisation) -> Key:
    """Create the key for the organisation's signed-in members, which has no text. Part of creating
    the organisation, in the caller's transaction."""
    return Key.objects.create(
        organisation=organisation,
        team=organisation.teams.order_by("created_at", "id")[0],
        name=PLAYGROUND_NAME,
        kind=KeyKind.PLAYGROUND,
        digest=os.urandom(32),
        prefix="",
        last4="",
    )


def playground_key(organisation: Organisation) -> Key:
    """Return the organisation's playground key, which exists as long as the organisation."""
    return Key.objects.get(organisation=organisation, kind=KeyKind.PLAYGROUND)


def change_limits(
    actor: Actor, of: Organisation | Team | Membership, **limits: int | None
) -> Organisation | Team | Membership:
    """Set `rpm`, `tpm` or `parallel` of an organisation, of a team (shared by its keys) or of a
    member (for all of their requests). None means no limit. Raises KeyRefused."""
    with transaction.atomic():
        rows: QuerySet[Any] = type(of)._default_manager.select_for_update(no_key=True)
        locked: Organisation | Team | Membership = get_object_or_404(rows, pk=of.pk)
        changed = {
            field: value for field, value in limits.items() if getattr(locked, field) != value
        }
        if not changed:
            return locked
        _check(changed)
        before = {field: getattr(locked, field) for field in changed}
        for field, value in changed.items():
            setattr(locked, field, value)
        locked.save(update_fields=list(changed))
        organisation = locked if isinstance(locked, Organisation) else locked.organisation
        action = (
            f"{'member' if isinstance(locked, Membership) else locked._meta.model_name}.limited"
        )
        audit.record(actor, organisation, action, locked, before=before, after=changed)
        bump_epoch()
    return locked


def _check_service_account(
    actor: Actor, account: ServiceAccount, team: Team, kind: KeyKind
) -> None:
    """Raise KeyRefused for a service account of another team, and for a management key of one that
    may do more than the actor."""
    if account.team_id != team.id:
        text = gettext("This service account belongs to another team.")
        raise KeyRefused("service_account", text)
    if kind == KeyKind.MANAGEMENT:
        check_grant(actor, authority_of_member(read_again(account), {account.team_id}))


def _check_manages(actor: Actor, team: Team) -> None:
    """Raise KeyRefused for a key of another holder, or of nobody, in a team whose keys the actor
    does not manage (P23)."""
    if not actor.installation and not reaches_team(actor, "keys.write", team.id):
        text = gettext("You cannot create keys of others in the team %(team)s.")
        raise KeyRefused("owner", text % {"team": team.name})


def _check_colleague(user: User, team: Team, kind: KeyKind) -> None:
    """Raise KeyRefused for a key of another person outside its team, or whose role has no keys, and
    for a management key of another person: its creator would have that person's authority (P23)."""
    if kind == KeyKind.MANAGEMENT:
        text = gettext("Only the person themselves can create a management key of theirs.")
        raise KeyRefused("owner", text)
    memberships = Membership.objects.filter(user=user, user__is_active=True)
    in_team = Q(all_teams=True) | Q(teams=team)
    member = memberships.filter(in_team, organisation=team.organisation_id).first()
    if member is None:
        text = gettext("%(email)s is not in the team %(team)s.")
        raise KeyRefused("owner", text % {"email": user.email, "team": team.name})
    if not may_have_keys(member):
        text = gettext("The role of %(email)s cannot have keys.")
        raise KeyRefused("owner", text % {"email": user.email})


def may_have_keys(member: Membership) -> bool:
    """Return whether keys of this member work."""
    return authority_of(member).scope_of(HAS_KEYS) is not None


def _check_holder(actor: Actor, key: Key) -> None:
    """Raise KeyRefused for a management key whose holder may do more than the actor (P23)."""
    if key.kind != KeyKind.MANAGEMENT or actor.installation:
        return
    held = Authority()
    if key.service_account is not None:
        held = authority_of_member(key.service_account, {key.service_account.team_id})
    elif membership := Membership.objects.filter(
        user=key.user_id, organisation=key.organisation_id
    ).first():
        held = authority_of(membership)
    if first_beyond_authority(held, actor.authority) is not None:
        text = gettext("This key can do more than your own role. Only its owner can rotate it.")
        raise KeyRefused("key", text)


def _check_project(project: Project | None, team: Team) -> None:
    if project is None:
        return
    if project.team_id != team.id:
        raise KeyRefused("project", gettext("This project belongs to another team."))
    if project.archived_at is not None:
        raise KeyRefused("project", gettext("This project is archived."))


def _check(limits: Mapping[str, Any]) -> None:
    try:
        check_limits(limits)
    except LimitInvalid as error:
        raise KeyRefused(error.field, error.message) from error


def _check_kind(key: Key) -> None:
    """Raise KeyRefused for restrictions that have no effect on a key of its kind."""
    if key.kind != KeyKind.MANAGEMENT:
        return
    for field, noun in _OF_MODELS.items():
        if getattr(key, field):
            raise KeyRefused(
                noun,
                gettext(
                    "A management key cannot call models, so it cannot be limited to "
                    "%(what)s. Leave this empty."
                )
                % {"what": noun},
            )


def _check_names_end_users(actor: Actor, team: Team) -> None:
    """Raise KeyRefused unless the actor manages the team's keys: others could make a key of their
    own say that somebody else sends its requests (P23)."""
    if not actor.installation and not reaches_team(actor, "keys.write", team.id):
        text = gettext("Only people who manage the keys of team %(team)s can change this.")
        raise KeyRefused("end_user_header", text % {"team": team.name})


def _check_end_users(key: Key) -> None:
    """Raise KeyRefused for a header that anybody could send."""
    if key.end_user_header and not (key.end_user_networks or key.end_users_signed):
        text = gettext(
            "Anybody could send this header. List the networks of the application, or require a "
            "signature."
        )
        raise KeyRefused("end_user_header", text)


def _reach_of(key: Key) -> Reach:
    return Reach(**{field: _as_tuple(getattr(key, field)) for field in _REACH})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_reach(actor: Actor, reach: Reach) -> None:
    """Raise KeyRefused for a reach that exceeds the calling key (P23)."""
    if actor.key is None:
        return
    bound = _reach_of(actor.key)
    ends = [at for at in (actor.ends_at, bound.expires_at) if at is not None]
    bound = replace(bound, expires_at=min(ends, default=None))
    field = first_field_beyond(reach, bound)
    if field is None:
        return
    most = getattr(bound, field)
    raise KeyRefused(
        _OF_MODELS.get(field, field),
        gettext(
            "A key cannot grant more than it has: %(field)s can be at most %(most)s. Request "
            "less, or use another key."
        )
        % {
            "field": _OF_MODELS.get(field, field),
            "most": ", ".join(most) if isinstance(most, tuple) else _json_value(most),
        },
    )


def _new_text(kind: KeyKind) -> str:
    form: key_format.KeyFormKind = "management" if kind == KeyKind.MANAGEMENT else "relay"
    return key_format.compose(form, os.urandom(key_format.RANDOM_BYTES))


def _give(key: Key, text: str) -> None:
    key.digest = digest_of(text)
    key.prefix, key.last4 = key_format.visible_ends(text)


def _check_name(name: str) -> None:
    """Raise KeyRefused unless the name is one line without spaces at its ends, as the
    installation's file requires."""
    if name != name.strip() or len(name.splitlines()) != 1:
        raise KeyRefused(
            "name", gettext("A name is a single line that does not start or end with a space.")
        )
    check_name(name)


def _save(actor: Actor, action: str, key: Key, text: str) -> Key:
    if key.expires_at is not None and key.expires_at <= clock.now():
        raise KeyRefused("expires_at", gettext("The expiry date is in the past."))
    _give(key, text)
    return _insert(actor, action, key)


def name_of_holder(key: Key) -> str | None:
    """Return the address of the person or the name of the service account to whom a key belongs."""
    if key.user is not None:
        return key.user.email
    return None if key.service_account is None else key.service_account.name


def _insert(actor: Actor, action: str, key: Key) -> Key:
    _check_name(key.name)
    with transaction.atomic():
        key.user = key.user and read_again(key.user)
        with _refuse_duplicates(key):
            key.save(force_insert=True)
        # Check after the save, which waits for a concurrent rotation to the same text.
        if FormerSecret.objects.filter(digest=key.digest).exists():
            raise KeyRefused(
                "secret",
                gettext("This secret was replaced when a key was rotated. Use the newer secret."),
            )
        audit.record(
            actor,
            key.organisation,
            action,
            key,
            name=key.name,
            kind=str(key.kind),
            owner=name_of_holder(key),
            model_patterns=key.model_patterns,
            expires_at=_json_value(key.expires_at),
            **{name: getattr(key, name) for name in LIMITS},
        )
        bump_epoch()
    return key


@contextmanager
def _refuse_duplicates(key: Key) -> Iterator[None]:
    """Turn the database's refusal of a duplicate name or text into KeyRefused. Only the save is
    undone."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "live_key_name_once" in str(error):
            taken = gettext("Another key is already named %(name)s.") % {"name": key.name}
            raise KeyRefused("name", taken, already_exists=True) from error
        same = Key.objects.filter(digest=key.digest, organisation=key.organisation).first()
        if same is None:
            text = gettext("This key already exists in another organisation.")
        else:
            named = {"name": same.name, "id": id_text(same.id)}
            text = gettext("This key already exists: %(name)s (%(id)s).") % named
        raise KeyRefused("secret", text, already_exists=True) from error


def _json_value(value: object) -> object:
    if isinstance(value, Project):
        return value.slug
    return value.isoformat() if isinstance(value, dt.datetime) else value
