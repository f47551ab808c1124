"""Create, change, rotate, test and remove the webhooks and chats of an organisation or of the
operators. Each write is audited."""

import json
import os
from collections.abc import Sequence
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.changes import lock_row
from accounts.models import Organisation
from accounts.secrets.key_lookup import key_state
from accounts.secrets.sealing import open_sealed, seal
from lib import clock
from lib.network.egress import EgressError, EgressPolicy, check_host, host_and_port, literal_address
from lib.refusal import Refused, check_text
from notify.endpoints import signing
from notify.endpoints.chat_services import SIGNED
from notify.events.kinds import FOR_OPERATORS, FOR_ORGANISATIONS
from notify.models import Delivery, Service, WebhookEndpoint
from outbox.facts import put
from outbox.models import Fact

ENDPOINTS_MAX: Final = 20
NAME_MAX: Final = 60
CHAT_SECRET_MAX: Final = 200


class WebhookRefused(Refused):
    """The webhook is not valid."""


def egress_policy() -> EgressPolicy:
    """Return the addresses that webhooks may reach: public ones, and networks that the operator
    lists."""
    return EgressPolicy(settings.WEBHOOK_EGRESS_ALLOW)


def create_endpoint(
    actor: Actor,
    organisation: Organisation | None,
    url: str,
    kinds: Sequence[str] = (),
    *,
    name: str = "",
    service: str = Service.WEBHOOK,
    secret: str = "",
    language: str = "",
) -> tuple[WebhookEndpoint, str]:
    """Create a webhook. Return it with its secret, which is not shown again; "" for a chat. Without
    an organisation it belongs to the operators. Raises WebhookRefused.

    `secret` is the signing secret of a chat's bot, if the bot requires signatures. Chat messages
    are written in `language`, or in the installation's language.

    A webhook that a key creates ends with the key (P23), so that a revoked key no longer gives
    access to events.
    """
    _refuse_replaced_secret(actor)
    _check_url(url)
    _check_kinds(organisation, kinds)
    _check_language(language)
    endpoint = WebhookEndpoint(
        organisation=organisation,
        name=check_text("name", name, NAME_MAX),
        service=service,
        language=language,
        url=url,
        kinds=list(kinds),
        created_by=actor.user,
        key=actor.key,
    )
    if service == Service.WEBHOOK:
        if secret:
            raise WebhookRefused("secret", gettext("Weir makes the secret of a webhook itself."))
        new_secret = sealed = signing.secret_text(os.urandom(signing.SECRET_BYTES))
    else:
        _check_chat_secret(service, secret)
        new_secret, sealed = "", json.dumps({"url": url, "secret": secret})
        endpoint.url = _beginning(url)
    endpoint.sealed = seal(sealed, _seal_context(endpoint, "sealed"))
    with transaction.atomic():
        if organisation is not None:
            Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        living = WebhookEndpoint.objects.filter(organisation=organisation, removed_at=None)
        if living.count() >= ENDPOINTS_MAX:
            text = gettext("You can have up to %(n)s webhooks.") % {"n": ENDPOINTS_MAX}
            raise WebhookRefused("url", text)
        endpoint.save(force_insert=True)
        audit.record(
            actor, organisation, "webhook.created", endpoint,
            service=service, url=endpoint.url, kinds=endpoint.kinds,
        )  # fmt: skip
    return endpoint, new_secret


def change_endpoint(
    actor: Actor,
    endpoint: WebhookEndpoint,
    *,
    name: str | None = None,
    url: str | None = None,
    language: str | None = None,
    kinds: Sequence[str] | None = None,
) -> WebhookEndpoint:
    """Change the given fields. A chat's address belongs to its secret and cannot be changed. Raises
    WebhookRefused.

    A webhook whose address a key changes ends with this key, like one that the key created.
    """
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update(of=("self",)).get(id=endpoint.id)
        before = _audit_details(locked)
        if name is not None:
            locked.name = check_text("name", name, NAME_MAX)
        if url is not None and url != locked.url:
            if locked.service != Service.WEBHOOK:
                text = gettext("The address of a chat cannot be changed. Add the chat again.")
                raise WebhookRefused("url", text)
            _refuse_replaced_secret(actor)
            _check_url(url)
            locked.url, locked.key = url, actor.key
        if language is not None:
            _check_language(language)
            locked.language = language
        if kinds is not None and list(kinds) != locked.kinds:
            _refuse_replaced_secret(actor)
            _check_kinds(locked.organisation, kinds)
            locked.kinds = list(kinds)
        after = _audit_details(locked)
        if before != after:
            locked.save(update_fields=["name", "url", "key", "language", "kinds"])
            audit.record(
                actor, locked.organisation, "webhook.changed", locked, before=before, after=after
            )
    return locked


def _audit_details(endpoint: WebhookEndpoint) -> dict[str, object]:
    return {name: getattr(endpoint, name) for name in ("name", "url", "language", "kinds")}


def _refuse_replaced_secret(actor: Actor) -> None:
    """Refuse what would give access to events for longer than the secret of a key works (P23)."""
    if actor.ends_at is not None:
        text = gettext("The secret of this key was replaced. Use its new secret for webhooks.")
        raise WebhookRefused("key", text)


def _check_kinds(organisation: Organisation | None, kinds: Sequence[str]) -> None:
    known = {kind.name for kind in (FOR_ORGANISATIONS if organisation else FOR_OPERATORS)}
    for kind in kinds:
        if kind not in known:
            text = gettext("There is no event named %(kind)s.") % {"kind": kind}
            raise WebhookRefused("kinds", text)


def _check_language(language: str) -> None:
    if language and language not in dict(settings.LANGUAGES):
        raise WebhookRefused("language", gettext("There are no texts in this language."))


def rotate_secret(actor: Actor, endpoint: WebhookEndpoint) -> str:
    """Create a new secret and return it; it is shown once. The previous secret also signs
    for PREVIOUS_SIGNS_FOR. Raises WebhookRefused for a chat, whose service creates the secret."""
    _refuse_replaced_secret(actor)
    if endpoint.service != Service.WEBHOOK:
        text = gettext("Make a new address in the chat service, and add it here again.")
        raise WebhookRefused("service", text)
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update().get(id=endpoint.id)
        before = open_sealed(locked.sealed, _seal_context(locked, "sealed"))
        secret = signing.secret_text(os.urandom(signing.SECRET_BYTES))
        locked.sealed_before = seal(before, _seal_context(locked, "sealed_before"))
        locked.before_until = clock.now() + signing.PREVIOUS_SIGNS_FOR
        locked.sealed = seal(secret, _seal_context(locked, "sealed"))
        locked.save(update_fields=["sealed", "sealed_before", "before_until"])
        audit.record(actor, locked.organisation, "webhook.rotated", locked, url=locked.url)
    return secret


def remove_endpoint(actor: Actor, endpoint: WebhookEndpoint) -> None:
    """Remove a webhook. Its pending deliveries are no longer sent."""
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update().get(id=endpoint.id)
        if locked.removed_at is None:
            locked.removed_at = clock.now()
            locked.save(update_fields=["removed_at"])
            audit.record(actor, locked.organisation, "webhook.removed", locked, url=locked.url)


def send_test(actor: Actor, endpoint: WebhookEndpoint) -> Delivery:
    """Send a test event to this webhook only."""
    with transaction.atomic():
        locked = lock_row(endpoint)
        fact_id = put("webhook.tested", locked.organisation_id)
        # Mark it as taken, so that no other webhook gets it.
        Fact.objects.filter(id=fact_id).update(taken_at=clock.now())
        audit.record(actor, locked.organisation, "webhook.tested", locked, url=locked.url)
        return Delivery.objects.create(fact_id=fact_id, endpoint=locked)


def has_ended(endpoint: WebhookEndpoint) -> bool:
    """Return whether the key that created it or last changed its URL was revoked or has expired."""
    key = endpoint.key
    return key is not None and key_state(key, clock.now()) in ("revoked", "expired")


def secrets_in_force(endpoint: WebhookEndpoint) -> list[str]:
    """Return the secrets that sign an event now: the current one, and for a while the previous
    one."""
    secrets = [open_sealed(endpoint.sealed, _seal_context(endpoint, "sealed"))]
    until = endpoint.before_until
    if endpoint.sealed_before is not None and until is not None and until > clock.now():
        secrets.append(
            open_sealed(endpoint.sealed_before, _seal_context(endpoint, "sealed_before"))
        )
    return secrets


def chat_address(endpoint: WebhookEndpoint) -> tuple[str, str]:
    """Return the address of a chat and its signing secret, "" for none. Raises VaultError."""
    kept = json.loads(open_sealed(endpoint.sealed, _seal_context(endpoint, "sealed")))
    return kept["url"], kept["secret"]


def _check_chat_secret(service: str, secret: str) -> None:
    if secret and service not in SIGNED:
        raise WebhookRefused(
            "secret", gettext("This service takes no signing secret. Leave it empty.")
        )
    if len(secret) > CHAT_SECRET_MAX or not secret.isascii() or not secret.isprintable():
        raise WebhookRefused("secret", gettext("This is not the signing secret of a chat robot."))


def _beginning(url: str) -> str:
    """Return the part of a chat's address that may be displayed: the whole address allows
    posting."""
    host, port = host_and_port(url)
    scheme = url.split(":", 1)[0]
    literal_host = f"[{host}]" if ":" in host else host
    return (
        f"{scheme}://{literal_host}/…"
        if port in (80, 443)
        else f"{scheme}://{literal_host}:{port}/…"
    )


def _check_url(url: str) -> None:
    """Raise WebhookRefused for an address that can never be used. Resolved addresses are checked at
    each sending."""
    if len(url) > 500:
        raise WebhookRefused("url", gettext("The URL is too long. Use at most 500 characters."))
    if not url.startswith(("https://", "http://")) or any(c.isspace() for c in url):
        raise WebhookRefused(
            "url", gettext("The URL must start with https:// and contain no spaces.")
        )
    if url.startswith("http://") and not settings.WEBHOOK_EGRESS_ALLOW:
        raise WebhookRefused("url", gettext("The URL must start with https://."))
    try:
        host, port = host_and_port(url)
        check_host(host)
    except EgressError as error:
        raise WebhookRefused("url", gettext("The URL has no valid host name.")) from error
    if port != 443 and not settings.WEBHOOK_EGRESS_ALLOW:
        raise WebhookRefused(
            "url", gettext("The URL cannot include a port. Port 443 is always used.")
        )
    if "@" in url.split("/")[2]:
        raise WebhookRefused("url", gettext("The URL cannot contain a user name or password."))
    literal = literal_address(host)
    if literal is not None and not egress_policy().permits(literal):
        text = gettext(
            "%(host)s is not a public address. Events are only sent to public addresses. An "
            "operator can allow its network (WEBHOOK_EGRESS_ALLOW)."
        )
        raise WebhookRefused("url", text % {"host": host})


def _seal_context(endpoint: WebhookEndpoint, field: str) -> str:
    return f"notify_webhookendpoint|{endpoint.id}|{field}"
