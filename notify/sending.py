"""One try of one delivery: a signed POST, or a letter. No transaction is open meanwhile (I9)."""

import json
import logging
import smtplib
import time
from typing import Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import translation

from accounts.models import Organisation, User
from lib import clock, egress
from lib.ids import id_text
from lib.tenancy import within
from lib.vault import VaultError
from notify.deliveries import end_try
from notify.endpoints import egress_policy, has_ended, secrets_in_force
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from notify.rules.signing import signature_headers
from outbox.models import Fact

log = logging.getLogger(__name__)

_READ_S: Final = 10.0
_CONNECT_S: Final = 3.0
_GONE: Final = 410


class Outcome(NamedTuple):
    """What came of a try: `error` is empty when the receiver took it."""

    status: int | None
    error: str
    final: bool = False


def send(delivery_id: UUID) -> None:
    """Try one delivery that is still to be made, and write down what came of it."""
    delivery = (
        Delivery.objects.select_related("fact", "endpoint__key", "user")
        .filter(id=delivery_id, state=DeliveryState.PENDING)
        .first()
    )
    if delivery is None:
        return
    begun = time.monotonic_ns()
    with within(delivery.fact.organisation_id):
        outcome = (
            _post(delivery.endpoint, delivery.fact)
            if delivery.endpoint is not None
            else _write(delivery.user, delivery.fact)
        )
    ms = (time.monotonic_ns() - begun) // 1_000_000
    end_try(delivery.id, status=outcome.status, error=outcome.error, ms=ms, final=outcome.final)


def event_body(fact: Fact) -> bytes:
    """What a webhook carries, the same bytes at every try."""
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
        return Outcome(None, "The webhook was removed.", final=True)
    if has_ended(endpoint):
        return Outcome(None, "The key that made the webhook has ended.", final=True)
    body = event_body(fact)
    try:
        secrets = secrets_in_force(endpoint)
    except VaultError as error:
        log.error("webhook %s: %s", endpoint.id, error)
        return Outcome(None, "The secret cannot be opened. Rotate it.")
    stamp = int(clock.now().timestamp())
    headers = signature_headers(secrets, id_text(fact.id), stamp, body)
    headers["content-type"] = "application/json"
    policy = egress_policy()
    try:
        egress.check_named_by_user(policy, endpoint.url)
        with (
            egress.guarded_client(
                policy, connect_s=_CONNECT_S, read_s=_READ_S, schemes=("https", "http")
            ) as client,
            # The answer's body is never read: what another end says is shown to nobody.
            egress.streamed(client, "POST", endpoint.url, headers, body) as answer,
        ):
            status = answer.status_code
    except (egress.EgressDenied, egress.Unresolved):
        # One text and one way to end: the owner of a webhook learns of no name inside.
        return Outcome(None, "No public https address answers there, on port 443.")
    except egress.EgressFailed as error:
        return Outcome(None, _FAILED[error.reason])
    if 200 <= status < 300:
        return Outcome(status, "")
    return Outcome(status, f"Answered with status {status}.", final=status == _GONE)


def _write(user: User | None, fact: Fact) -> Outcome:
    if user is None or not user.is_active:
        return Outcome(None, "The person is gone.", final=True)
    owner = fact.organisation_id
    organisation = Organisation.objects.filter(id=owner).first() if owner else None
    context = {
        **fact.body,
        "organisation": organisation,
        "public_url": settings.PUBLIC_URL,
        "user": user,
    }
    name = f"notify/{fact.kind.replace('.', '_')}"
    with translation.override(user.language or settings.LANGUAGE_CODE):
        subject = " ".join(render_to_string(f"{name}_subject.txt", context).split())
        text = render_to_string(f"{name}_message.txt", context).strip() + "\n"
    try:
        send_mail(subject, text, None, [user.email])
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(None, f"The mail server refused: {type(error).__name__}.")
    except ValueError:
        # As a header it would be two, or none.
        return Outcome(None, "No letter can be sent to this address.", final=True)
    return Outcome(None, "")


_FAILED: Final = {
    "refused": "No connection.",
    "tls": "No trusted TLS.",
    "timeout": "No answer in time.",
    "broken": "The answer broke off.",
}
