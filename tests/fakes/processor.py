"""A payment company that speaks Stripe's wire, with books of its own; it shares no code with us.

It takes the requests of the official library (checkout sessions, payment methods, payment intents)
and makes signed events as Stripe documents them. `Idempotency-Key` gives the same object again.

    with fake_processor() as bank:
        event = bank.pay(session_id)
        headers, body = bank.signed(event)
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SECRET_KEY = "sk_test_fake"
WEBHOOK_SECRET = "whsec_fake_of_the_tests"

Json = dict[str, Any]


def refusal(type: str, code: str | None = None) -> Json:
    error = {"type": type, "message": "Refused."}
    return {"error": error | {"code": code} if code else error}


@dataclass
class FakeProcessor:
    """`decline` is the reason for which the next charges of kept cards are refused."""

    url: str = ""
    live: bool = False
    decline: str = ""
    down: bool = False
    sessions: dict[str, Json] = field(default_factory=dict)
    payments: dict[str, Json] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Json] = field(default_factory=dict)
    asked: dict[str, Json] = field(default_factory=dict)
    requests: list[tuple[str, str, Json]] = field(default_factory=list)

    @property
    def taken_minor(self) -> int:
        """What this company took from cards, in cents: its own books."""
        return sum(payment["amount_received"] for payment in self.payments.values())

    # What a customer and a bank do ------------------------------------------------------------

    def pay(self, session_id: str, *, paid: bool = True) -> Json:
        """The customer pays at the hosted page; the event that tells it."""
        session = self.sessions[session_id]
        if session["payment_intent"] is None:
            payment = self._payment(session["amount_total"], session["currency"], {})
            session["payment_intent"] = payment["id"]
        if session["customer_creation"] == "always" and not session["customer"]:
            session["customer"] = f"cus_{secrets.token_hex(8)}"
            self.cards[session["customer"]] = f"pm_{secrets.token_hex(8)}"
        session["status"] = "complete"
        session["payment_status"] = "paid" if paid else "unpaid"
        return self.event("checkout.session.completed", session)

    def expire(self, session_id: str) -> Json:
        session = self.sessions[session_id]
        session["status"] = "expired"
        return self.event("checkout.session.expired", session)

    def refund(self, payment_id: str, total_minor: int) -> Json:
        """So much of a payment was given back, in all."""
        payment = self.payments[payment_id]
        charge = {
            "id": f"ch_{payment_id}", "object": "charge", "payment_intent": payment_id,
            "amount": payment["amount"], "amount_refunded": total_minor,
            "currency": payment["currency"], "livemode": self.live, "metadata": {},
        }  # fmt: skip
        return self.event("charge.refunded", charge)

    def dispute(self, payment_id: str, amount_minor: int, dispute_id: str = "du_1") -> Json:
        return self._dispute("charge.dispute.funds_withdrawn", payment_id, amount_minor, dispute_id)

    def reinstate(self, payment_id: str, amount_minor: int, dispute_id: str = "du_1") -> Json:
        return self._dispute(
            "charge.dispute.funds_reinstated", payment_id, amount_minor, dispute_id
        )

    def _dispute(self, kind: str, payment_id: str, amount_minor: int, dispute_id: str) -> Json:
        body = {
            "id": dispute_id, "object": "dispute", "payment_intent": payment_id,
            "charge": f"ch_{payment_id}", "amount": amount_minor, "livemode": self.live,
            "currency": self.payments[payment_id]["currency"], "metadata": {},
        }  # fmt: skip
        return self.event(kind, body)

    # Telling ----------------------------------------------------------------------------------

    def event(self, kind: str, thing: Json) -> Json:
        return {
            "id": f"evt_{secrets.token_hex(12)}", "object": "event", "type": kind,
            "api_version": "2026-03-25.dahlia", "created": int(time.time()),
            "livemode": self.live, "pending_webhooks": 1, "data": {"object": dict(thing)},
        }  # fmt: skip

    def signed(
        self, event: Json, *, secret: str = WEBHOOK_SECRET, age_s: int = 0
    ) -> tuple[dict[str, str], bytes]:
        """The headers and body of one delivery; each delivery is signed anew."""
        return self.signed_text(json.dumps(event), secret=secret, age_s=age_s)

    def signed_text(
        self, text: str, *, secret: str = WEBHOOK_SECRET, age_s: int = 0
    ) -> tuple[dict[str, str], bytes]:
        body = text.encode()
        stamp = int(time.time()) - age_s
        mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={stamp},v1={mac}", "content-type": "application/json"}, body

    # The API ----------------------------------------------------------------------------------

    def answer(self, method: str, path: str, form: Json, key: str) -> tuple[int, Json]:
        self.requests.append((method, path, form))
        if self.down:
            return 503, {"error": {"type": "api_error", "message": "Down."}}
        if key and key in self.answers:
            if self.asked[key] != form:
                return 400, refusal("idempotency_error")
            return 200, self.answers[key]
        if (method, path) == ("POST", "/v1/checkout/sessions"):
            created = self._session(form)
        elif (method, path) == ("GET", "/v1/payment_methods"):
            card = self.cards.get(form["customer"])
            if card is None:
                return 404, refusal("invalid_request_error", "resource_missing")
            rows = [{"id": card, "object": "payment_method", "type": "card"}] if card else []
            return 200, {"object": "list", "data": rows, "has_more": False, "url": path}
        elif (method, path) == ("POST", "/v1/payment_intents"):
            if self.decline:
                error = {"type": "card_error", "code": "card_declined", "message": self.decline}
                return 402, {"error": error}
            metadata = {n[9:-1]: v for n, v in form.items() if n.startswith("metadata[")}
            created = self._payment(int(form["amount"]), form["currency"], metadata)
        else:
            return 404, {"error": {"type": "invalid_request_error", "message": "No such path."}}
        if key:
            self.answers[key], self.asked[key] = created, form
        return 200, created

    def _session(self, form: Json) -> Json:
        id = f"cs_{'live' if self.live else 'test'}_{secrets.token_hex(16)}"
        self.sessions[id] = {
            "id": id, "object": "checkout.session", "livemode": self.live, "status": "open",
            "payment_status": "unpaid", "mode": form["mode"], "payment_intent": None,
            "url": f"{self.url}/pay/{id}", "customer": None,
            "client_reference_id": form["client_reference_id"],
            "customer_creation": form.get("customer_creation", "if_required"),
            "amount_total": int(form["line_items[0][price_data][unit_amount]"])
            * int(form["line_items[0][quantity]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "metadata": {n[9:-1]: v for n, v in form.items() if n.startswith("metadata[")},
            "success_url": form["success_url"], "cancel_url": form["cancel_url"],
        }  # fmt: skip
        return self.sessions[id]

    def _payment(self, amount_minor: int, currency: str, metadata: Json) -> Json:
        id = f"pi_{secrets.token_hex(12)}"
        self.payments[id] = {
            "id": id, "object": "payment_intent", "amount": amount_minor, "livemode": self.live,
            "amount_received": amount_minor, "currency": currency, "status": "succeeded",
            "metadata": metadata,
        }  # fmt: skip
        return self.payments[id]


@contextmanager
def fake_processor() -> Iterator[FakeProcessor]:
    bank = FakeProcessor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urlsplit(self.path)
            self._tell(*bank.answer("GET", split.path, dict(parse_qsl(split.query)), ""))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if self.headers["authorization"] != f"Bearer {SECRET_KEY}":
                self._tell(401, {"error": {"type": "invalid_request_error", "message": "Key."}})
                return
            key = self.headers.get("idempotency-key", "")
            form = dict(parse_qsl(body))
            self._tell(*bank.answer("POST", urlsplit(self.path).path, form, key))

        def _tell(self, status: int, message: Json) -> None:
            text = json.dumps(message).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    bank.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bank
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
