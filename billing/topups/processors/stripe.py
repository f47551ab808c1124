"""Stripe: hosted checkout, stored cards for automatic top-ups, signed events.

The order's id is the idempotency key of all requests for it. It is also in the metadata of the
objects that they create, together with the owner. Only events credit a payment, never a browser
that comes back. Stripe reports a refund as a sum over its charge, and a dispute by the money that
left.

Source: https://docs.stripe.com/api (checkout sessions, payment intents, events, disputes).
"""

import ipaddress
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings

from billing.topups.processors.processor import (
    ChargeOrder,
    Checkout,
    CheckoutOrder,
    EventInvalid,
    ProcessorDeclined,
    ProcessorUnavailable,
)
from billing.topups.rules import EventKind, PaymentEvent
from lib import clock
from lib.network import egress
from lib.numbers.strict_json import strict_json

_CHECKOUT: Final[dict[str, EventKind]] = {
    "checkout.session.completed": "paid",
    "checkout.session.async_payment_succeeded": "paid",
    "checkout.session.async_payment_failed": "failed",
    "checkout.session.expired": "expired",
}
_PAYMENT: Final[dict[str, EventKind]] = {
    "payment_intent.succeeded": "paid",
    "payment_intent.payment_failed": "failed",
}
_DISPUTE: Final[dict[str, EventKind]] = {
    "charge.dispute.funds_withdrawn": "disputed",
    "charge.dispute.funds_reinstated": "reinstated",
}
_UNREFUNDED: Final = ("refund.failed", "charge.refund.updated")
_TOLERANCE_S: Final = 300
_ANSWER_S: Final = 30.0
_LIVE_KEYS: Final = ("sk_live_", "rk_live_")


class StripeProcessor:
    """Stripe, with the keys of the installation's settings."""

    name = "stripe"
    keeps_cards = True

    @property
    def live(self) -> bool:
        return str(settings.STRIPE_SECRET_KEY or "").startswith(_LIVE_KEYS)

    def create_checkout(self, order: CheckoutOrder) -> Checkout:
        metadata = {"weir_top_up": order.order_id, "weir_organisation": order.owner_id}
        parameters: dict[str, Any] = {
            "mode": "payment",
            "client_reference_id": order.order_id,
            "metadata": metadata,
            "success_url": order.return_url,
            "cancel_url": order.cancel_url,
            "customer_email": order.email,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": order.amount_minor,
                        "product_data": {"name": f"Credit for {order.owner_name}"},
                    },
                }
            ],
        }
        if order.keep_card:
            parameters["customer_creation"] = "always"
            parameters["payment_intent_data"] = {"setup_future_usage": "off_session"}
        session = self._send("checkout", parameters, order.order_id)
        return Checkout(str(session["id"]), str(session["url"]))

    def charge_kept_card(self, order: ChargeOrder) -> str:
        cards = self._send("cards", {"customer": order.customer, "limit": 1}, "")["data"]
        if not cards:
            raise ProcessorDeclined("No card is kept.")
        intent = self._send(
            "charge",
            {
                "amount": order.amount_minor,
                "currency": order.currency.lower(),
                "customer": order.customer,
                "payment_method": cards[0]["id"],
                "off_session": True,
                "confirm": True,
                "metadata": {
                    "weir_top_up": order.order_id,
                    "weir_organisation": order.owner_id,
                    "weir_automatic": "1",
                },
            },
            order.order_id,
        )
        if intent["status"] not in ("succeeded", "processing"):
            raise ProcessorDeclined("The card's holder must confirm the payment.")
        return str(intent["id"])

    def verify_event(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent | None:
        import stripe

        secret = str(settings.STRIPE_WEBHOOK_SECRET or "").strip()
        if not secret:
            raise EventInvalid("STRIPE_WEBHOOK_SECRET is not set")
        try:
            text, signature = body.decode(), headers.get("stripe-signature", "")
            stripe.WebhookSignature.verify_header(text, signature, secret, _TOLERANCE_S)
            _check_stamp(signature)
            event = strict_json(text)
        except (stripe.SignatureVerificationError, UnicodeDecodeError, ValueError) as error:
            raise EventInvalid(type(error).__name__) from error
        try:
            return _read(event)
        except (KeyError, TypeError, AttributeError) as error:
            raise EventInvalid(f"no form that we know: {error!r}") from error

    def _send(self, what: str, parameters: dict[str, Any], order_id: str) -> dict[str, Any]:
        """Send one request and return its response as plain data. Raises ProcessorError."""
        # Imported here, because the import takes half a second and few processes need it.
        import stripe

        client = stripe.StripeClient(
            str(settings.STRIPE_SECRET_KEY),
            base_addresses={"api": settings.STRIPE_API_BASE},
            http_client=_guarded_client(),
            max_network_retries=1,
        )
        options: Any = {"idempotency_key": f"weir-{what}-{order_id}"} if order_id else {}
        arguments: Any = parameters
        try:
            created: Any
            if what == "checkout":
                created = client.v1.checkout.sessions.create(arguments, options)
            elif what == "charge":
                created = client.v1.payment_intents.create(arguments, options)
            else:
                created = client.v1.payment_methods.list(arguments)
        except stripe.CardError as error:
            raise ProcessorDeclined(error.user_message or "The card was declined.") from error
        except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
            if what == "checkout":
                raise ProcessorUnavailable(f"Stripe refused the request: {error.code}") from error
            # Asking again does not help: Stripe does not know the customer or the card, or the card
            # is another than in the first request for this order.
            reason = error.code or type(error).__name__
            raise ProcessorDeclined(f"Stripe refused the saved card ({reason}).") from error
        except stripe.AuthenticationError as error:
            raise ProcessorUnavailable(f"Stripe refused the request: {error.code}") from error
        except stripe.StripeError as error:
            raise ProcessorUnavailable(type(error).__name__) from error
        fields: dict[str, Any] = created.to_dict()
        return fields


def _check_stamp(signature: str) -> None:
    """Refuse an event with a signature time in the future: it could be stored and sent later."""
    stamp = next(part[2:] for part in signature.split(",") if part.startswith("t="))
    if int(stamp) > clock.now().timestamp() + _TOLERANCE_S:
        raise EventInvalid("signed for a time to come")


def _read(event: dict[str, Any]) -> PaymentEvent | None:
    kind, thing = event["type"], event["data"]["object"]
    if event.get("account"):
        raise EventInvalid("of another account")
    event_id, live = event["id"], event["livemode"]
    if not isinstance(event_id, str) or not event_id or not isinstance(live, bool):
        raise EventInvalid("no id or no mode")
    if thing.get("livemode", live) is not live:
        raise EventInvalid("two modes")
    metadata = thing.get("metadata") or {}
    event_kind: EventKind
    customer = ""
    if kind in _CHECKOUT:
        event_kind = _CHECKOUT[kind]
        if event_kind == "paid" and thing["payment_status"] != "paid":
            event_kind = "pending"
        order_id = metadata.get("weir_top_up")
        if not order_id and event_kind != "paid":
            return None  # a checkout of another application of this Stripe account
        if order_id and order_id != thing.get("client_reference_id"):
            raise EventInvalid("two orders are named")
        object_id, payment_id = thing["id"], thing.get("payment_intent")
        amount, customer = thing["amount_total"], thing.get("customer") or ""
    elif kind in _PAYMENT and metadata.get("weir_automatic") == "1":
        event_kind = _PAYMENT[kind]
        object_id = payment_id = thing["id"]
        amount = thing["amount_received"] if event_kind == "paid" else thing["amount"]
    elif kind == "charge.refunded":
        event_kind, object_id, payment_id = "refunded", thing["id"], thing["payment_intent"]
        amount = thing["amount_refunded"]
    elif kind in _UNREFUNDED and thing["status"] in ("failed", "canceled"):
        event_kind, object_id, payment_id = "unrefunded", thing["id"], thing["payment_intent"]
        amount = thing["amount"]
    elif kind in _DISPUTE:
        event_kind, object_id, payment_id = _DISPUTE[kind], thing["id"], thing["payment_intent"]
        amount = thing["amount"]
    else:
        return None
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount < 10**11:
        raise EventInvalid("no amount")
    return PaymentEvent(
        processor="stripe",
        event_id=event_id,
        kind=event_kind,
        object_id=str(object_id),
        payment_id=str(payment_id or ""),
        order_id=str(metadata.get("weir_top_up") or ""),
        owner_id=str(metadata.get("weir_organisation") or ""),
        amount_minor=amount,
        currency=str(thing["currency"]),
        live=live,
        customer=str(customer),
    )


def _guarded_client() -> Any:
    """Return Stripe's HTTP client over our guarded connector (docs/promises.md, "Egress")."""
    import stripe

    class Guarded(stripe.HTTPClient):
        name = "weir"

        def request(
            self,
            method: str,
            url: str,
            headers: Mapping[str, str] | None,
            post_data: Any = None,
            *,
            _usage: Any = None,
        ) -> tuple[Any, int, Mapping[str, str]]:
            body = post_data.encode() if isinstance(post_data, str) else post_data or b""
            try:
                with egress.guarded_client(
                    _policy(),
                    read_s=_ANSWER_S,
                    until=time.monotonic() + _ANSWER_S,
                    schemes=(urlsplit(settings.STRIPE_API_BASE).scheme,),
                ) as client:
                    answer = egress.send_request(client, method.upper(), url, headers or {}, body)
            except egress.EgressError as error:
                raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]
                    type(error).__name__, should_retry=True
                ) from error
            return answer.text, answer.status_code, answer.headers

        def close(self) -> None:
            pass

    return Guarded()


def _policy() -> egress.EgressPolicy:
    """Return the policy that allows public addresses, and the address in STRIPE_API_BASE."""
    host = urlsplit(settings.STRIPE_API_BASE).hostname or ""
    try:
        return egress.EgressPolicy([str(ipaddress.ip_network(host))])
    except ValueError:
        return egress.EgressPolicy()
