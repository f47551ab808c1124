"""Changes to how a person signs in: they are audited, reported by email, and end other sessions."""

from django.db import transaction
from django.http import HttpRequest

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import User
from accounts.sessions import sessions
from accounts.sessions.devices import device_of
from accounts.throttle.throttle import network_of
from outbox.facts import put


def oneself(user: User) -> Actor:
    """Return an actor for the person's own account, without an organisation."""
    return Actor(user, None, None, None, user.operator)


def network_of_request(request: HttpRequest) -> str:
    # The server has applied the headers of trusted proxies. Headers from other clients are ignored.
    return network_of(request.META.get("REMOTE_ADDR", ""))


def place_of_request(request: HttpRequest) -> dict[str, str]:
    """Return the origin of a request for an email: `network`, `browser` and `system`, "" if
    unknown."""
    device = device_of(request.META.get("HTTP_USER_AGENT", ""))
    return {
        "network": network_of_request(request),
        "browser": device.browser,
        "system": device.system,
    }


def record_use(request: HttpRequest, user: User, action: str, **detail: object) -> None:
    """Audit the use of a sign-in method and email the person, in the caller's transaction.

    `action` must be one that `notify/letters/security_changed.txt` has a text for.
    """
    audit.record(oneself(user), None, action, user, **detail)
    write_letter(user, action, **detail, **place_of_request(request))


def record_change(request: HttpRequest, user: User, action: str, **detail: object) -> None:
    """Record the use as `record_use` does, and end all of the person's sessions except the current
    one."""
    record_use(request, user, action, **detail)
    sessions.end(user, action, but=request.session.session_key)


def write_letter(user: User, action: str, **body: object) -> None:
    """Email the person about an action, in the caller's transaction."""
    put("security.changed", None, people=[user.pk], action=action, **body)


class PasswordChanged(Exception):
    """The password has changed since the request began."""


def replace_password(request: HttpRequest, user: User, password: str) -> None:
    """Set another password. Raises PasswordChanged if a concurrent request has changed it.

    One conditional UPDATE decides, so only one of several uses of a reset link sets the password.
    """
    before = user.password
    user.set_password(password)
    with transaction.atomic():
        unchanged = User.objects.filter(pk=user.pk, password=before)
        if not unchanged.update(password=user.password):
            raise PasswordChanged
        record_change(request, user, "password.changed")
