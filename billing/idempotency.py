"""Idempotency-Key for POSTs that create or move money: one key has one effect and one response
(P5).

The effect and the response are committed together. After a crash before the commit neither exists,
and a retry does the work. After the commit, every retry gets the same response. Another body with
the same key is refused with 422; the same request while the first one runs, with 409. Each
organisation has its own keys, and so do operators outside any organisation. Within one, a key that
another caller has used is refused. Responses are encrypted and kept for 24 hours.
"""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.secrets.sealing import open_sealed, pepper, seal
from billing.models import IdempotentAnswer
from lib import clock

KEPT: Final = dt.timedelta(hours=24)
KEY_LENGTH_MAX: Final = 255


class KeyReused(Exception):
    """The key was used for another request, or by somebody else (422)."""

    def __init__(self) -> None:
        super().__init__(
            gettext("This Idempotency-Key was already used for another request. Use a new one.")
        )


class KeyInUse(Exception):
    """The first request with this key still runs (409)."""

    def __init__(self) -> None:
        text = gettext(
            "The first request with this Idempotency-Key is still running. Try again shortly."
        )
        super().__init__(text)


class KeyInvalid(ValueError):
    """The header is no key: 1 to 255 printable ASCII characters."""

    def __init__(self) -> None:
        super().__init__(gettext("An Idempotency-Key must have 1 to 255 printable characters."))


@dataclass(frozen=True)
class Answer:
    """A status and a JSON body. `replayed` is true for a stored response."""

    status: int
    body: Mapping[str, Any]
    replayed: bool = False


def run_once(
    actor: Actor, key: str | None, request: tuple[str, str, bytes], act: Callable[[], Answer]
) -> Answer:
    """Run `act` once per key, and store its response in the same transaction.

    `request` is (method, path, body). Without a key, `act` runs and nothing is stored. An exception
    is not stored, so a refused request may be sent again. `act` must not make outgoing requests
    (I9). Raises KeyReused, KeyInUse and KeyInvalid.
    """
    if key is None:
        with transaction.atomic():
            return act()
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise KeyInvalid
    owner, digest = _owner(actor), _digest(key.encode())
    asked = (_principal(actor).encode(), request[0].encode(), request[1].encode(), request[2])
    fingerprint = _digest(b"\0".join(asked))
    with transaction.atomic():
        if not _try_lock(owner, digest):
            raise KeyInUse
        kept = IdempotentAnswer.objects.filter(owner=owner, key_digest=digest).first()
        if kept is not None and kept.created_at > clock.now() - KEPT:
            if not hmac.compare_digest(bytes(kept.asked_digest), fingerprint):
                raise KeyReused
            body = json.loads(open_sealed(kept.sealed, _seal_context(owner, digest)))
            return Answer(kept.status, body, replayed=True)
        answer = act()
        text = json.dumps(answer.body)
        IdempotentAnswer.objects.update_or_create(
            owner=owner,
            key_digest=digest,
            defaults={
                "asked_digest": fingerprint,
                "status": answer.status,
                "sealed": seal(text, _seal_context(owner, digest)),
                "created_at": clock.now(),
            },
        )
        return answer


def replace_body(actor: Actor, key: str, body: Mapping[str, Any]) -> None:
    """Replace the stored response of a key once the work after the commit is done."""
    owner, digest = _owner(actor), _digest(key.encode())
    kept = IdempotentAnswer.objects.filter(owner=owner, key_digest=digest)
    kept.update(sealed=seal(json.dumps(body), _seal_context(owner, digest)))


def drop_old_answers() -> int:
    """Delete expired responses. Return how many."""
    return IdempotentAnswer.objects.filter(created_at__lt=clock.now() - KEPT).delete()[0]


def _try_lock(owner: str, digest: bytes) -> bool:
    """Lock the key until the transaction ends. Return False if another request with this key runs
    now."""
    number = int.from_bytes(
        hashlib.sha256(owner.encode() + digest).digest()[:8], "big", signed=True
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _owner(actor: Actor) -> str:
    if actor.organisation is not None:
        return f"organisation:{actor.organisation.id}"
    return f"user:{actor.user.id if actor.user else 0}"


def _principal(actor: Actor) -> str:
    """Return the caller's id. Responses are stored by caller, because one may hold a secret that a
    colleague with the same key must not get."""
    if actor.user is not None:
        return f"user:{actor.user.id}"
    account = actor.key.service_account_id if actor.key else None
    return f"account:{account}" if account else f"key:{actor.key.id if actor.key else 0}"


def _digest(text: bytes) -> bytes:
    return hmac.digest(pepper().encode(), b"billing_idempotentanswer|" + text, "sha256")


def _seal_context(owner: str, digest: bytes) -> str:
    return f"billing_idempotentanswer|{owner}|{digest.hex()}"


# Over HTTP ----------------------------------------------------------------------------------------


class FormSent(ValueError):
    """The form was already sent with other fields. The text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            gettext("This form was already submitted. Reload the page and fill it in again.")
        )


def answer_idempotently(
    request: HttpRequest, actor: Actor, act: Callable[[], Answer]
) -> HttpResponse:
    """Return the response of `act`, run once for the request's Idempotency-Key if it has one
    (P5)."""
    key = request.headers.get("idempotency-key")
    request_key = (request.method or "", request.path, request.body)
    answer = run_once(actor, key, request_key, act)
    response = HttpResponse(
        json.dumps(answer.body),
        status=answer.status,
        content_type="application/json",
        headers={"Cache-Control": "private, no-store"},
    )
    if answer.replayed:
        response["Idempotent-Replayed"] = "true"
    return response


def form_answered(
    request: HttpRequest, actor: Actor, key: str, act: Callable[[], Answer]
) -> Answer:
    """Return the answer of `act`, run once per hidden key of a form, however often the form is
    sent.

    Raises FormSent.
    """
    try:
        named = f"form-{key}" if key else None
        fields = sorted(
            (name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"
        )
        return run_once(actor, named, ("POST", request.path, json.dumps(fields).encode()), act)
    except (KeyReused, KeyInUse, KeyInvalid) as error:
        raise FormSent from error
