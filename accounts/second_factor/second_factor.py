"""A second factor: codes of an authenticator app, passkeys, and recovery codes.

The parts are those of allauth.mfa. This module adds what it leaves open: secrets are encrypted, a
code of the app works only once, attempts are counted with those of passwords, and every change is
reported (docs/promises.md, "Sign-in").
"""

import base64
from contextlib import suppress
from typing import Final, Literal

from allauth.core import context
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.internal.flows.add import validate_can_add_authenticator
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    SECRET_SESSION_KEY,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.changes import lock_row
from accounts.models import User
from accounts.secrets.sealing import open_sealed, seal
from accounts.sessions import security_changes, sessions
from accounts.throttle import try_counts
from accounts.throttle.throttle import limits_of_codes
from lib.refusal import Refused
from lib.vault import VaultError

_TYPES: Final = Authenticator.Type

Reason = Literal["wrong", "replayed", "used"]
_WORDS: Final[dict[Reason, Promise]] = {
    "wrong": gettext_lazy("This code is not correct. Check the time on your phone and try again."),
    "replayed": gettext_lazy("This code was already used. Wait until your app shows the next one."),
    "used": gettext_lazy("This recovery code was already used. Each one works once."),
}


class CodeRefused(Exception):
    """The code was refused; `text` says why and what to do."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.text = str(_WORDS[reason])


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Our settings for allauth.mfa."""

    def build_totp_svg(self, url: str) -> str:
        # Loaded with the first code rather than when the process starts.
        import qrcode
        from qrcode.image.svg import SvgPathFillImage

        # Draw the code on a background of its own, because a camera cannot read dark modules on a
        # dark page.
        return str(qrcode.make(url, image_factory=SvgPathFillImage).to_string(encoding="unicode"))

    def encrypt(self, text: str) -> str:
        return base64.b64encode(seal(text, _seal_context(_person_of_request()))).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return open_sealed(base64.b64decode(encrypted_text), _seal_context(_person_of_request()))


def _person_of_request() -> int:
    """Return the id of the person whose factors this request concerns: the one who is signing in,
    or else the one who is signed in."""
    stage = getattr(context.request, "_login_stage", None)
    user: User = stage.login.user if stage else context.request.user
    return user.pk


def _seal_context(person: int) -> str:
    return f"mfa_authenticator|{person}|data"


def factors_of(user: User) -> list[Authenticator]:
    """Return the person's factors and recovery codes, the oldest first."""
    return list(Authenticator.objects.filter(user=user).order_by("created_at", "pk"))


# Codes ------------------------------------------------------------------------------------------


def may_add(user: User) -> bool:
    """Return whether the person may add a factor. The address must be confirmed, so that a stranger
    cannot lock out its owner."""
    try:
        validate_can_add_authenticator(user)
    except ValidationError:
        return False
    return True


def use_code(request: HttpRequest, user: User, code: str) -> Authenticator:
    """Use up a code of the person's app, or a recovery code. Return the factor to which it belongs.

    Raises CodeRefused for a wrong code, and TooManyTries after too many of them.
    """
    network = security_changes.network_of_request(request)
    limits = limits_of_codes(user.pk, network, known=try_counts.is_known(user.email, network))
    try_counts.count(limits)
    rows = {row.type: row for row in factors_of(user)}
    used = _use_code_of_app(rows.get(_TYPES.TOTP), code) or _use_recovery_code(
        request, user, rows.get(_TYPES.RECOVERY_CODES), code
    )
    if used is None:
        raise CodeRefused("wrong")
    try_counts.give_back(limits)
    return used


def step_of(secret: str, code: str) -> int | None:
    """Return the time step (RFC 6238) near now that has this code, or None."""
    steps = yield_hotp_counters_from_time()
    return next((step for step in steps if _is_code(secret, step, code)), None)


def _is_code(secret: str, step: int, code: str) -> bool:
    expected = format_hotp_value(hotp_value(secret, step))
    return bool(compare_user_code(actual=code, expected=expected))


def _use_code_of_app(row: Authenticator | None, code: str) -> Authenticator | None:
    if row is None:
        return None
    step = step_of(MFAAdapter().decrypt(row.data["secret"]), code)
    if step is None:
        return None
    with transaction.atomic():
        # The lock on the row makes one of two concurrent requests with the same code fail.
        locked = Authenticator.objects.select_for_update().get(pk=row.pk)
        if step <= locked.data.get("last_step", 0):
            raise CodeRefused("replayed")
        _use_step(locked, step)
    return row


def _use_step(row: Authenticator, step: int) -> None:
    """Record that a step's code was used. That code and all earlier ones are refused from now
    on."""
    row.data["last_step"] = step
    row.save(update_fields=["data"])


def _use_recovery_code(
    request: HttpRequest, user: User, row: Authenticator | None, code: str
) -> Authenticator | None:
    if row is None:
        return None
    codes = RecoveryCodes(row)
    with transaction.atomic():
        if codes.validate_code(code):
            left = len(codes.get_unused_codes())
            security_changes.record_use(request, user, "recovery_code.used", left=left)
            return row
    if any(compare_user_code(actual=code, expected=one) for one in codes.generate_codes()):
        raise CodeRefused("used")
    return None


# Changes ----------------------------------------------------------------------------------------


def pending_secret(request: HttpRequest, user: User, *, anew: bool) -> str:
    """Return the secret of the app that is being added. Until the app is added, the secret is
    stored sealed in the session."""
    place = f"django_session|{user.pk}|totp"
    sealed = None if anew else request.session.get(SECRET_SESSION_KEY)
    if sealed is not None:
        with suppress(VaultError):  # its KEK may have been removed
            return open_sealed(base64.b64decode(sealed), place)
    secret: str = generate_totp_secret()
    request.session[SECRET_SESSION_KEY] = base64.b64encode(seal(secret, place)).decode()
    return secret


def app_added(request: HttpRequest, user: User, step: int) -> None:
    """Record that an app was added to the person's factors. Call this in the transaction that adds
    the app."""
    _use_step(Authenticator.objects.get(user=user, type=_TYPES.TOTP), step)
    security_changes.record_change(request, user, "authenticator_app.added")


def recovery_codes_left(rows: list[Authenticator]) -> int | None:
    """Return the number of unused recovery codes, or None if there never were any."""
    row = next((row for row in rows if row.type == _TYPES.RECOVERY_CODES), None)
    return None if row is None else len(RecoveryCodes(row).get_unused_codes())


def reset_factors(actor: Actor, user: User) -> None:
    """Remove all second factors of a person who has lost them, and end all the person's sessions.
    The password alone is then enough to sign in. Raises Refused for an operator, whom only the
    server's command can reset."""
    with transaction.atomic():
        # Nobody becomes an operator before the reset ends.
        locked = lock_row(user)
        if locked.operator and not actor.installation:
            text = gettext(
                "Operators cannot reset each other's two-factor authentication. Run on the "
                "server: %(command)s reset_second_factor %(email)s"
            )
            raise Refused("person", text % {"command": settings.COMMAND, "email": locked.email})
        Authenticator.objects.filter(user=locked).delete()
        audit.record(actor, None, "second_factor.reset", locked)
        security_changes.write_letter(locked, "second_factor.reset")
        sessions.end(locked, "second_factor.reset", actor=actor)
