"""The seller, taxes and billing details by the management API."""

import json
from typing import Any

from django.test import Client

from accounts.models import AuditEvent
from tests.support.cast import Cast, signed_in

PARTY = {
    "legal_name": "Acme GmbH", "address": "Weg 1\n10115 Berlin", "country": "DE",
    "tax_id": "DE123456789",
}  # fmt: skip
TAX = {
    "name": "VAT", "country": "DE", "percent": "8.1", "valid_from": "2026-01-01",
    "reverse_charge_text": "Reverse charge",
}  # fmt: skip


def send(client: Client, method: str, path: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    return client.generic(method, f"/api/v1{path}", data, "application/json")


def test_details_come_back_as_they_were_sent(people: Cast) -> None:
    dora, alice = signed_in(people.dora), signed_in(people.alice)
    assert send(dora, "PUT", "/seller", PARTY).json() == PARTY
    assert dora.get("/api/v1/seller").json() == PARTY
    buyer = {**PARTY, "zone": "Asia/Kolkata"}
    assert send(alice, "PUT", "/billing-details", buyer).json() == buyer
    assert alice.get("/api/v1/billing-details").json() == buyer
    wrong = send(alice, "PUT", "/billing-details", {**buyer, "zone": "Mars/Olympus"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "zone")
    wrong = send(dora, "PUT", "/seller", {**PARTY, "country": "D1"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "country")
    assert send(alice, "PUT", "/seller", PARTY).status_code == 403
    assert send(signed_in(people.bob), "PUT", "/billing-details", buyer).status_code == 403
    actions = AuditEvent.objects.filter(action__in=["seller.changed", "billing_details.changed"])
    assert actions.count() == 2


def test_a_tax_rate_is_added_and_never_changed(people: Cast) -> None:
    dora = signed_in(people.dora)
    body = send(dora, "POST", "/tax-rates", TAX).json()
    assert body | TAX == body
    assert dora.get(f"/api/v1/tax-rates/{body['id']}").json() == body
    assert send(dora, "POST", "/tax-rates", TAX).status_code == 409
    assert send(dora, "POST", "/tax-rates", {**TAX, "percent": "x"}).status_code == 422
    assert send(dora, "PATCH", f"/tax-rates/{body['id']}", TAX).status_code == 405
