"""What an organisation is charged for abandoned requests: its page, its API, its file."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent
from billing.limits.charge_rule import ChargeRule
from billing.limits.charge_rule_settings import charge_rule_of, set_charge_rule
from billing.models import OrganisationChargeRule
from tests.config.applying import Installation
from tests.support.cast import Cast, actor, signed_in
from usage.limits.effective_limits import effective_settings

pytestmark = pytest.mark.django_db
NONE = {"kind": "inherit", "seconds": None, "cost": None}


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def put(client: Client, people: Cast, rule: dict[str, Any]) -> Any:
    path = f"/api/v1/organisations/{people.acme.slug}/charge-rule"
    return client.put(path, rule, content_type="application/json")


def test_a_rule_is_set_and_taken_back_on_its_page(dora: Client, people: Cast) -> None:
    page = f"/admin/organisations/{people.acme.slug}/charge-rule"
    assert page in dora.get("/admin/organisations").content.decode()
    sent = {"kind": "drain", "seconds": "", "cost": "$0.05"}
    assert dora.post(page, sent).status_code == 303
    assert charge_rule_of(people.acme) == ChargeRule("drain", 120, 50_000_000)
    form = dora.get(page).content.decode()
    assert 'value="0.05"' in form
    (page_text,) = [
        row
        for row in effective_settings(actor(people.alice, people.acme))
        if row.title == "Abandoned requests"
    ]
    assert (page_text.level, page_text.value) == (
        "Organisation", "Keep reading and charge the usage, at most 120 s, $0.05",
    )  # fmt: skip
    # The limits are those of reading on; what was typed there says nothing of the others.
    for _ in ("changed", "sent once more, which changes nothing"):
        sent = {"kind": "absorb", "seconds": "5", "cost": "1"}
        assert dora.post(page, sent).status_code == 303
        assert charge_rule_of(people.acme) == ChargeRule("absorb")
    assert dora.post(page, {"kind": "", "seconds": "5"}).status_code == 303
    assert not OrganisationChargeRule.objects.exists()
    events = AuditEvent.objects.filter(
        action="organisation.charge_rule_changed", organisation=people.acme
    )
    assert [event.detail["after"]["charge_rule"] for event in events.order_by("id")] == [
        {"kind": "drain", "seconds": 120, "cost": "0.05"}, {"kind": "absorb"}, {},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"kind": "drain", "seconds": "601"}, "seconds"),
        ({"kind": "drain", "seconds": "5", "cost": "-1"}, "cost"),
        ({"kind": "drain", "seconds": "5", "cost": "five"}, "cost"),
        ({"kind": "halve"}, "kind"),
    ],
)
def test_invalid_rule_is_rejected(
    dora: Client, people: Cast, sent: dict[str, Any], field: str
) -> None:
    page = dora.post(f"/admin/organisations/{people.acme.slug}/charge-rule", sent)
    assert (page.status_code, f'id="id_{field}_error"' in page.content.decode()) == (422, True)
    whole = {**sent, "seconds": int(sent.get("seconds", 5))}
    answer = put(dora, people, whole)
    assert (answer.status_code, field in str(answer.json()["error"]["param"])) == (422, True)
    assert charge_rule_of(people.acme) is None


def test_a_rule_by_the_api(dora: Client, people: Cast) -> None:
    path = f"/api/v1/organisations/{people.acme.slug}/charge-rule"
    assert dora.get(path).json() == NONE
    drain = {"kind": "drain", "seconds": 30, "cost": "0.05"}
    assert put(dora, people, drain).json() == dora.get(path).json() == drain
    assert put(dora, people, {"kind": "measured"}).json() == {**NONE, "kind": "measured"}
    assert put(dora, people, {"kind": "measured", "seconds": 5}).status_code == 422
    assert put(dora, people, {"kind": "inherit"}).json() == NONE
    assert signed_in(people.alice).get(path).status_code in (403, 404)


def test_file_and_export_round_trip(people: Cast, tmp_path: Path) -> None:
    set_charge_rule(actor(people.dora), people.acme, ChargeRule("drain", 30, 50_000_000))
    installation = Installation(tmp_path)
    exported = installation.export()
    assert "charge_rule:\n    kind: drain\n    seconds: 30\n    cost: '0.05'" in exported
    name = f"version: 1\norganisations: [{{name: {people.acme.name}, slug: {people.acme.slug}"
    absorb = f"{name}, charge_rule: {{kind: absorb}}}}]\n"
    assert "charge_rule" in installation.apply(absorb)
    assert charge_rule_of(people.acme) == ChargeRule("absorb")
    assert "nothing to change" in installation.apply(absorb)
    assert "nothing to change" in installation.apply(f"{name}}}]\n")
    installation.apply(f"{name}, charge_rule: null}}]\n")
    assert charge_rule_of(people.acme) is None
