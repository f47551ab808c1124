"""The sign-in of a device without a browser of its own (RFC 8628): one function for each write.

    begun --allow--> allowed --redeem--> it has a key, until that ends
      |                 \\--the person may no longer have keys--> denied
      +----deny----> denied
      +----10 minutes---> expired

A device has the device code and shows the user code. The person opens our page, signs in, and
allows what shows that code. Then the device gets a key of the person's. The codes are stored as
digests only.
"""

import secrets
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext

from accounts.access.access import scope_of, visible_teams
from accounts.access.actors import Actor, actor_of_key, actor_of_member, memberships, person_of
from accounts.audit import audit
from accounts.device_sign_in.rules import (
    KEY_LIFETIME,
    LENGTH,
    LETTERS,
    LIFETIME,
    polls_too_soon,
    read_user_code,
    write_user_code,
)
from accounts.keys.keys import mint_numbered_key, revoke_key
from accounts.models import DeviceSignIn, Team
from accounts.secrets import key_format
from accounts.secrets.key_lookup import find_key_of
from accounts.secrets.link_texts import link_digest, new_link_text
from accounts.secrets.sealing import pepper
from lib import clock
from lib.refusal import Refused

Refusal = Literal["authorization_pending", "slow_down", "access_denied", "expired_token"]


class DeviceRefused(Exception):
    """The device gets no key, or not yet; `error` is the code of RFC 8628, 3.5."""

    def __init__(self, error: Refusal) -> None:
        super().__init__(error)
        self.error = error


class Begun(NamedTuple):
    """The codes of a sign-in that has begun, and the addresses of the page that asks for its
    code."""

    device_code: str
    user_code: str
    page_url: str
    page_with_code_url: str


class Signed(NamedTuple):
    """The text of the key that the device gets, its lifetime in seconds, and the person's
    address."""

    text: str
    lifetime_s: int
    email: str


def begin(client: str, address: str) -> Begun:
    """Begin the sign-in of a device, and delete expired ones. `client` is the device's name for
    itself."""
    device_code, user_code, now = new_link_text(), new_user_code(), clock.now()
    with transaction.atomic():
        DeviceSignIn.objects.filter(key=None, expires_at__lt=now).delete()
        DeviceSignIn.objects.create(
            digest=link_digest(device_code),
            user_code_digest=_user_code_digest(user_code),
            client=client,
            address=address,
            expires_at=now + LIFETIME,
        )
    page_url = settings.PUBLIC_URL + reverse("device")
    with_code = f"{page_url}?{urlencode({'user_code': user_code})}"
    return Begun(device_code, user_code, page_url, with_code)


def new_user_code() -> str:
    """Return a code of 34 random bits."""
    return write_user_code("".join(secrets.choice(LETTERS) for _ in range(LENGTH)))


def find_open(user_code: str) -> DeviceSignIn | None:
    """Return the undecided sign-in that shows this code."""
    code = read_user_code(user_code)
    return _open().filter(user_code_digest=_user_code_digest(code)).first() if code else None


def allow(actor: Actor, user_code: str) -> DeviceSignIn:
    """Let the device have a key of the actor's in the actor's organisation. Raises Refused for a
    code that is unknown, expired or decided."""
    return _decide(actor, user_code, allowed=True)


def deny(actor: Actor, user_code: str) -> DeviceSignIn:
    """Refuse the device a key. Raises Refused as `allow` does."""
    return _decide(actor, user_code, allowed=False)


def _decide(actor: Actor, user_code: str, *, allowed: bool) -> DeviceSignIn:
    waiting = find_open(user_code)
    with transaction.atomic():
        row = _open().select_for_update().filter(pk=waiting.pk).first() if waiting else None
        if row is None:
            text = gettext("This code is unknown, used or expired. Start again on your device.")
            raise Refused("user_code", text)
        row.user, row.organisation, row.allowed = person_of(actor), actor.organisation, allowed
        row.save(update_fields=["user", "organisation", "allowed"])
        action = "device.allowed" if allowed else "device.denied"
        audit.record(actor, actor.organisation, action, row.user, client=row.client)
    return row


def redeem(device_code: str) -> Signed:
    """Create the device's key, once the person has allowed it. Raises DeviceRefused."""
    now = clock.now()
    refusal: Refusal = "expired_token"
    with transaction.atomic():
        rows = DeviceSignIn.objects.select_for_update(of=("self",)).select_related("user")
        row = rows.filter(digest=link_digest(device_code), key=None, expires_at__gt=now).first()
        if row is not None and row.allowed is None:
            too_soon = polls_too_soon(row.polled_at, now)
            refusal = "slow_down" if too_soon else "authorization_pending"
            row.polled_at = now
            row.save(update_fields=["polled_at"])
        elif row is not None:
            refusal = "access_denied"
            if row.allowed and (place := _place_of(row)) is not None:
                return _sign_in(row, *place)
    raise DeviceRefused(refusal)


def _sign_in(row: DeviceSignIn, actor: Actor, team: Team) -> Signed:
    expires_at = clock.now() + KEY_LIFETIME
    row.key, text = mint_numbered_key(
        actor, team, row.client, user=actor.user, expires_at=expires_at
    )
    row.save(update_fields=["key"])
    return Signed(text, int(KEY_LIFETIME.total_seconds()), person_of(actor).email)


def _place_of(row: DeviceSignIn) -> tuple[Actor, Team] | None:
    """Return the actor who allowed the device, and the team of the key; None if that person may no
    longer have keys."""
    membership = (
        memberships()
        .filter(
            user=row.user_id,
            user__is_active=True,
            organisation=row.organisation_id,
            organisation__archived_at=None,
        )
        .first()
    )
    if membership is None or row.user is None:
        return None
    actor = actor_of_member(row.user, membership.organisation, membership)
    if scope_of(actor, "keys.write_own") is None:
        return None
    team = visible_teams(actor).filter(archived_at=None).first()
    return None if team is None else (actor, team)


def sign_out(text: str) -> None:
    """Revoke the key with that text if a device got it by signing in. Other keys stay valid:
    whoever has the text of one may use the key, but not end it for others."""
    key = None
    if key_format.check(text) is key_format.KeyForm.OWN:
        key, _ = find_key_of(text)
    by_device = Q(key=key, key__revoked_at=None)
    if key is not None and DeviceSignIn.objects.filter(by_device).exists():
        actor = actor_of_key(key)
        if actor is not None:
            revoke_key(actor, key)


def _open() -> QuerySet[DeviceSignIn]:
    return DeviceSignIn.objects.filter(allowed=None, expires_at__gt=clock.now())


def _user_code_digest(user_code: str) -> bytes:
    # A code has few bits, so its digest has the installation's pepper in it.
    return key_format.digest(pepper(), f"device {user_code}")
