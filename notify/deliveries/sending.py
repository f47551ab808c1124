"""One attempt of one delivery: a signed POST, a chat message, or an email. No transaction is open
while it is sent (I9)."""

import json
import logging
import smtplib
import time
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation

from accounts.models import Key, Organisation, User
from accounts.secrets.key_lookup import key_state
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from lib.network import egress
from lib.network.mail import NoMailServer, render_letter
from lib.vault import VaultError
from notify.deliveries import results
from notify.deliveries.deliveries import end_try, open_hook, put_off
from notify.deliveries.slow_receivers import ATTEMPTS
from notify.endpoints.chat_services import chat_request, refusal
from notify.endpoints.endpoints import chat_address, egress_policy, has_ended, secrets_in_force
from notify.endpoints.signing import signature_headers
from notify.models import Delivery, DeliveryState, Service, WebhookEndpoint
from outbox.models import Fact

log = logging.getLogger(__name__)

# One attempt ends well before its lease: a receiver that sends byte by byte must not hold the
# worker's threads.
_ATTEMPT_S: Final = 10.0
_CONNECT_S: Final = 3.0
_GONE: Final = 410
_ANSWER_MAX: Final = 16_384


class Outcome(NamedTuple):
    """The result of an attempt. `error` is empty when the receiver accepted it."""

    status: int | None
    error: str
    final: bool = False


def send(delivery_id: UUID) -> None:
    """Attempt one pending delivery and record the result. If too many slow receivers are tried
    already, one to a slow receiver waits."""
    delivery = (
        Delivery.objects.select_related("fact", "endpoint__key", "user")
        .filter(id=delivery_id, state=DeliveryState.PENDING)
        .first()
    )
    if delivery is None:
        return
    with ATTEMPTS.attempt(_receiver(delivery)) as may_begin:
        if may_begin:
            _attempt(delivery)
        else:
            put_off(delivery)


def _receiver(delivery: Delivery) -> UUID | None:
    """Return what one slow attempt says something about: a webhook, or all callback addresses of an
    organisation; None for the mail server, which no customer can make slow."""
    return delivery.endpoint_id if delivery.hook is None else delivery.fact.organisation_id


def _attempt(delivery: Delivery) -> None:
    begun = time.monotonic_ns()
    with use_tenant(delivery.fact.organisation_id):
        if delivery.hook is not None:
            outcome = _call(delivery)
        elif delivery.endpoint is not None:
            outcome = _post(delivery.endpoint, delivery.fact)
        else:
            outcome = _write(delivery.user, delivery.fact)
    ms = (time.monotonic_ns() - begun) // 1_000_000
    end_try(delivery.id, status=outcome.status, error=outcome.error, ms=ms, final=outcome.final)


def event_body(fact: Fact) -> bytes:
    """Return the payload of a webhook. It is the same for each attempt."""
    body = {
        "id": id_text(fact.id),
        "version": 1,
        "type": fact.kind,
        "timestamp": fact.created_at.isoformat(),
        "organisation": id_text(fact.organisation_id) if fact.organisation_id else None,
        "data": fact.body,
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def _post(endpoint: WebhookEndpoint, fact: Fact) -> Outcome:
    if endpoint.removed_at is not None:
        return Outcome(None, results.WEBHOOK_REMOVED, final=True)
    if has_ended(endpoint):
        return Outcome(None, results.KEY_ENDED, final=True)
    try:
        if endpoint.service != Service.WEBHOOK:
            return _send_to_chat(endpoint, fact)
        secrets = secrets_in_force(endpoint)
    except VaultError as error:
        log.error("webhook %s: %s", endpoint.id, error)
        return Outcome(None, results.SECRET_SEALED)
    body = event_body(fact)
    stamp = int(clock.now().timestamp())
    headers = signature_headers(secrets, id_text(fact.id), stamp, body)
    headers["content-type"] = "application/json"
    return _post_body(endpoint.url, headers, body, lambda answer: "")


def _call(delivery: Delivery) -> Outcome:
    """Send a task's result to the callback address of its request. The body is the one that the
    dialect's clients know, and is signed like an event."""
    try:
        call = open_hook(delivery)
    except VaultError as error:
        log.error("delivery %s: %s", delivery.id, error)
        return Outcome(None, results.ADDRESS_SEALED, final=True)
    key = Key.objects.filter(id=call.key).first()
    if key is None or key_state(key, clock.now()) in ("revoked", "expired"):
        return Outcome(None, results.REQUEST_KEY_ENDED, final=True)
    body, stamp = call.body.encode(), int(clock.now().timestamp())
    headers = signature_headers([call.secret], id_text(delivery.fact_id), stamp, body)
    headers["content-type"] = "application/json"
    return _post_body(call.url, headers, body, lambda answer: "")


def _send_to_chat(endpoint: WebhookEndpoint, fact: Fact) -> Outcome:
    """Send a message to a chat. Raises VaultError."""
    url, secret = chat_address(endpoint)
    with translation.override(endpoint.language or settings.LANGUAGE_CODE):
        text = "\n\n".join(_words(fact))
    request = chat_request(endpoint.service, url, secret, text, int(clock.now().timestamp() * 1000))

    def judge(answer: egress.Answer) -> str:
        code = refusal(endpoint.service, _beginning_of(answer))
        return "" if code is None else results.CODE % {"value": code}

    headers = {"content-type": "application/json; charset=utf-8"}
    return _post_body(request.url, headers, request.body, judge)


def _post_body(
    url: str, headers: dict[str, str], body: bytes, judge: Callable[[egress.Answer], str]
) -> Outcome:
    """Send a POST and return its outcome. `judge` returns the error of a 2xx response, or "". Only
    the status and an error number of a response are recorded; its body is never shown."""
    policy = egress_policy()
    try:
        egress.check_named_by_user(policy, url)
        with (
            egress.guarded_client(
                policy,
                connect_s=_CONNECT_S,
                until=time.monotonic() + _ATTEMPT_S,
                schemes=("https", "http"),
            ) as client,
            egress.stream_request(client, "POST", url, headers, body) as answer,
        ):
            status = answer.status_code
            good = 200 <= status < 300
            wrong = judge(answer) if good else results.STATUS % {"value": status}
    except (egress.EgressDenied, egress.Unresolved):
        return Outcome(None, results.NO_ADDRESS)
    except egress.EgressFailed as error:
        return Outcome(None, results.BROKEN_OFF[error.reason])
    return Outcome(status, wrong, final=status == _GONE)


def _beginning_of(answer: egress.Answer) -> bytes:
    """Return the response body, or b"" if it is longer than a chat service's responses are."""
    read = b""
    for piece in answer.iter_raw():
        read += piece
        if len(read) > _ANSWER_MAX:
            return b""
    return read


def _words(fact: Fact, user: User | None = None) -> tuple[str, str]:
    """Return the subject and text of a fact, in the active language."""
    owner = fact.organisation_id
    organisation = Organisation.objects.filter(id=owner).first() if owner else None
    context = {
        **fact.body,
        "organisation": organisation,
        "public_url": settings.PUBLIC_URL,
        "user": user,
    }
    return render_letter(f"notify/letters/{fact.kind.replace('.', '_')}.txt", context)


def _write(user: User | None, fact: Fact) -> Outcome:
    if user is None or not user.is_active:
        return Outcome(None, results.NO_PERSON, final=True)
    with translation.override(user.language or settings.LANGUAGE_CODE):
        subject, text = _words(fact, user)
    try:
        send_mail(subject, text, None, [user.email])
    except NoMailServer:
        return Outcome(None, results.NO_MAIL_SERVER, final=True)
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(None, results.MAIL_REFUSED % {"value": type(error).__name__})
    except ValueError:
        # The address would break the header.
        return Outcome(None, results.NO_LETTER, final=True)
    return Outcome(None, "")
