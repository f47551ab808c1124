"""Lists of models: what they propose by page, API and command; what is accepted, dismissed and
ignored; and that no address of them leads inside (P13)."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.models import PriceProposal, PriceVersion
from gateway.catalogue.list_proposals import accept_proposals, dismiss_proposals, price_proposals
from gateway.catalogue.updates import add_ignore_rule, fetch_list, source_of, update_catalogue
from gateway.channels.channels import create_channel
from gateway.model_entries.entries import save_entry
from gateway.models import CatalogueIgnoreRule, CatalogueUpdate, ModelEntry, ModelProposal
from gateway.settings.installation import save_settings
from lib.ids import id_text
from lib.refusal import Refused
from tests.lib.inside import canary, inside_forms, known_names
from tests.support.cast import Cast, signed_in
from tests.support.hostile import EVERYTHING, LONG, NUL
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
PAGE = "/admin/models/catalogue"
API = "/api/v1"
SOURCE = "list prices.json"


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


@pytest.fixture(autouse=True)
def channel(db: None) -> None:
    models = {"one": "", "two": ""}
    create_channel(
        SYSTEM,
        "main",
        {"provider": "openai_compatible", "base_url": "http://127.0.0.1:9", "models": models},
    )


def model(**more: Any) -> dict[str, Any]:
    cost = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
    return {"mode": "chat", **cost, **more}


def compared(models: dict[str, Any], source: str = SOURCE) -> dict[str, Any]:
    result: dict[str, Any] = update_catalogue(SYSTEM, json.dumps(models).encode(), source).result
    return result


def facts() -> dict[tuple[str, str], tuple[Any, Any]]:
    rows = ModelProposal.objects.filter(state="open")
    return {(row.model, row.field): (row.before, row.after) for row in rows}


def everything() -> list[Any]:
    ids = [row.id for row in ModelProposal.objects.filter(state="open")]
    return ids + [one.row.id for one in price_proposals()]


def test_changes_apply_on_acceptance_and_a_list_reverts_its_own() -> None:
    first = {"one": model(max_input_tokens=9000, supports_vision=True, supports_flying=1)}
    result = compared(first | {"three": model(max_input_tokens=5)})
    assert result["prices"] == {"added": 2, "changed": 0, "removed": 0}
    assert result["facts"] == {"added": 2, "changed": 0, "removed": 0}
    assert result["unknown"] == {"supports_flying": 1}
    assert facts() == {("one", "context_max"): (None, 9000), ("one", "vision"): (None, True)}
    assert not ModelEntry.objects.exists()
    assert not PriceVersion.objects.exists()
    assert accept_proposals(SYSTEM, everything()).made == 4
    entry = ModelEntry.objects.get()
    assert (entry.context_max, entry.can) == (9000, {"vision": True})
    assert PriceVersion.objects.filter(source=SOURCE).count() == 2
    # What it says again is no difference; what it says otherwise is a change.
    assert sum(compared(first | {"three": model()})["facts"].values()) == 0
    changed = {"one": model(max_input_tokens=8000, supports_vision=True)}
    result = compared(changed)
    assert result["facts"] == {"added": 0, "changed": 1, "removed": 0}
    assert result["prices"] == {"added": 0, "changed": 0, "removed": 1}
    assert facts() == {("one", "context_max"): (9000, 8000)}
    # It has neither the limit nor the other model any more.
    result = compared({"one": model(supports_vision=True)})
    assert result["facts"] == {"added": 0, "changed": 0, "removed": 1}
    assert facts() == {("one", "context_max"): (9000, None)}
    accept_proposals(SYSTEM, [row.id for row in ModelProposal.objects.filter(state="open")])
    entry.refresh_from_db()
    assert (entry.context_max, entry.can) == (None, {"vision": True})


def test_dismissed_and_own_models_are_not_proposed() -> None:
    save_entry(SYSTEM, "two", context_max=7, can={"tools": True})
    wanted = {
        "one": model(supports_vision=True, deprecation_date="2999-01-02"),
        "two": model(max_input_tokens=9, supports_function_calling=False),
    }
    compared(wanted)
    assert facts() == {
        ("one", "vision"): (None, True),
        ("one", "sunset_at"): (None, "2999-01-02"),
    }
    assert dismiss_proposals(SYSTEM, everything()).made == 4
    compared(wanted)
    assert (facts(), price_proposals()) == ({}, [])
    # Another list may say so again.
    compared(wanted, "list other.json")
    assert ("one", "sunset_at") in facts()
    accept_proposals(SYSTEM, everything())
    assert str(ModelEntry.objects.get(name="one").sunset_at) == "2999-01-02 00:00:00+00:00"
    with pytest.raises(Refused, match="already decided"):
        accept_proposals(SYSTEM, [ModelProposal.objects.filter(state="accepted")[0].id])


def test_ignore_rules_are_for_names_or_patterns_and_fields() -> None:
    wanted = {name: model(supports_vision=True, max_input_tokens=9) for name in ("one", "two")}
    add_ignore_rule(SYSTEM, "o*", "vision")
    add_ignore_rule(SYSTEM, "two", "")
    add_ignore_rule(SYSTEM, "one", "price")
    compared(wanted)
    assert (list(facts()), price_proposals()) == ([("one", "context_max")], [])
    for pattern, field in (("a b", ""), ("", ""), (LONG, ""), ("x", "flying"), (NUL, "")):
        with pytest.raises(Refused):
            add_ignore_rule(SYSTEM, pattern, field)


def test_the_page_compares_a_file_and_decides(dora: Client) -> None:
    wanted = {"one": model(supports_vision=True), "elsewhere": model()}
    file = SimpleUploadedFile("some prices.json", json.dumps(wanted).encode())
    assert dora.post(f"{PAGE}/update", {"file": file, "served": "on"})["location"] == PAGE
    page = squeezed(dora.get(PAGE).content.decode())
    for text in ("list some prices.json", "not known → On", "Vision", "2 new · 0 changed"):
        assert text in page
    assert "elsewhere" not in page
    answer = dora.post(f"{PAGE}/decide", {"everything": "what=added", "act": "accept"})
    assert answer.status_code == 303
    assert ModelEntry.objects.get().can == {"vision": True}
    assert list(PriceVersion.objects.values_list("price__model", flat=True)) == ["one"]
    assert dora.post(f"{PAGE}/ignore", {"model": "gpt-*", "field": "price"}).status_code == 303
    assert "gpt-*" in dora.get(PAGE).content.decode()
    rule = CatalogueIgnoreRule.objects.get()
    assert dora.post(f"{PAGE}/ignore/{rule.id}/remove").status_code == 303
    for value, text in (
        ({}, "Choose a file or enter an address"),
        ({"address": "https://x", "file": SimpleUploadedFile("x", b"{}")}, "Choose a file or"),
        ({"file": SimpleUploadedFile("x.json", b"[]")}, "no JSON object"),
        ({"file": SimpleUploadedFile("x.json", EVERYTHING.encode())}, "no JSON"),
        ({"address": NUL}, "Null characters"),
        ({"address": LONG}, "at most 2000"),
    ):
        answer = dora.post(f"{PAGE}/update", value)
        assert (answer.status_code, text in answer.content.decode()) == (422, True), value
    for value in ({"model": "a b"}, {"model": NUL}, {"model": "x", "field": "flying"}, {}):
        assert dora.post(f"{PAGE}/ignore", value).status_code == 422


def test_the_api_compares_and_decides(dora: Client) -> None:
    def send(verb: str, path: str, fields: dict[str, Any] | None = None) -> Any:
        return getattr(dora, verb)(f"{API}{path}", fields, content_type="application/json")

    fields = {"models": {"one": model(supports_vision=True)}, "name": "mine"}
    body = send("post", "/catalogue-updates", fields).json()
    assert (body["source"], body["facts"]["added"]) == ("list mine", 1)
    assert send("get", "/catalogue-updates").json()["items"] == [body]
    (fact,) = send("get", "/model-proposals").json()["items"]
    assert (fact["field"], fact["before"], fact["after"]) == ("vision", None, True)
    price = id_text(PriceProposal.objects.get().id)
    decided = send("post", "/model-proposals/accept", {"ids": [fact["id"], price]}).json()
    assert decided == {"decided": 2, "waiting": 0}
    assert send("get", "/model-proposals").json()["items"] == []
    for wrong in ({}, {"models": {}, "address": "https://x"}, {"models": {"x": 1}}, {"more": 1}):
        assert send("post", "/catalogue-updates", wrong).status_code in (400, 422), wrong
    assert send("post", "/model-proposals/dismiss", {"ids": ["none"]}).status_code == 422
    rule = send("post", "/catalogue-ignore-rules", {"model": "o*", "field": "tools"}).json()
    assert send("get", "/catalogue-ignore-rules").json()["items"] == [rule]
    changed = send("patch", f"/catalogue-ignore-rules/{rule['id']}", {"field": ""}).json()
    assert changed == {**rule, "field": changed["field"]} != rule
    assert send("get", f"/catalogue-ignore-rules/{rule['id']}").json() == changed
    assert send("delete", f"/catalogue-ignore-rules/{rule['id']}").status_code == 204
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"catalogue.compared", "catalogue.ignored", "model.proposal_accepted"} <= actions


def test_no_address_of_a_list_leads_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens inside networks to channels opens nothing to it; every form is refused alike."""
    known_names(monkeypatch)
    save_settings(SYSTEM, egress_allow=["127.0.0.0/8", "::1/128"])
    with canary() as counted:
        forms = inside_forms(counted.port)
        assert len(forms) > 120
        for form in forms:
            with pytest.raises(Refused) as refused:
                fetch_list(form)
            assert refused.value.field == "address"
    assert counted.hits == []
    assert not CatalogueUpdate.objects.exists()


def test_the_source_has_no_secret_of_an_address() -> None:
    assert (
        source_of("https://me:pw@lists.example/a/b.json?token=s") == "list lists.example/a/b.json"
    )
    assert source_of("/tmp/prices.json") == "list prices.json"
    assert len(source_of("https://x/" + "a" * 99)) == 60
