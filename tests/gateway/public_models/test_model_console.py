"""The models console: what is stated of a model by page, by API and by file; who sees it; its
probe."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.models import Plan
from billing.price_plans.price_plans import assign_plan, remove_plan, save_plan
from billing.prices.conditions import PriceKey
from billing.prices.prices import set_price
from billing.prices.proposals import draft_price
from gateway.aliases.aliases import all_aliases, save_alias
from gateway.channels.channels import create_channel, switch_capability
from gateway.channels.fields import ChannelFields
from gateway.listed_models.public_models import public_model
from gateway.model_entries.entries import facts_of, save_entry
from gateway.models import Channel, ModelEntry, ModelProposal
from gateway.public_models.forms import EntryForm
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text
from tests.config.applying import Installation
from tests.fakes.upstream import FakeUpstream
from tests.support.cast import Cast, signed_in
from tests.support.hostile import EVERYTHING, LONG, NUL
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
API = "/api/v1"
KEY = "sk-fake-provider-key-0123456789"
RATES = {"meters": {"in_text": 1_000_000, "out_text": 3_000_000}}
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    # The first word of an answer is the name: it sees the colour, and reads the word of the file.
    with FakeUpstream(name="red-kestrel", keys=(KEY,), fsync=False) as upstream:
        yield upstream


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def channel_to(url: str = "http://127.0.0.1:9/v1") -> Channel:
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": url,
        "keys": [KEY],
        "models": {"one": "fake", "org/two": "", "wild-*": ""},
    }
    return create_channel(SYSTEM, "main", fields)


def send(api: Client, verb: str, path: str, fields: dict[str, Any] | None = None) -> Any:
    return getattr(api, verb)(f"{API}{path}", fields, content_type="application/json")


def test_the_list_says_what_each_model_is(dora: Client) -> None:
    channel_to()
    save_alias(SYSTEM, "fast", "one")
    set_price(SYSTEM, "one", START, RATES, source="file")
    draft_price(SYSTEM, PriceKey("org/two"), RATES, valid_from=None)
    past = clock.now() - dt.timedelta(days=1)
    save_entry(SYSTEM, "org/two", context_max=4096, deprecated_at=past, roles=["owner"])
    save_entry(SYSTEM, "gone", sunset_at=past)
    models = {row["name"]: row for row in send(dora, "get", "/public-models").json()["items"]}
    assert {name: (row["price"], row["status"]) for name, row in models.items()} == {
        "fast": ("priced", "alias"),
        "gone": ("missing", "retired"),
        "one": ("priced", "current"),
        "org/two": ("draft", "deprecated"),
        "wild-*": ("missing", "current"),
    }
    assert models["fast"]["alias_of"] == "one"
    assert models["one"]["aliases"] == ["fast"]
    # A limit alone says nothing of what a model can do that the catalogue does not know.
    facts = models["org/two"]["facts"]
    assert (facts["context_max"], facts["tools"], facts["vision"]) == (4096, None, None)
    page = send(dora, "get", "/public-models?limit=2").json()
    assert [row["name"] for row in page["items"]] == ["fast", "gone"]
    following = send(dora, "get", f"/public-models?limit=3&cursor={page['next']}").json()
    assert ([row["name"] for row in following["items"]], following["next"]) == (
        ["one", "org/two", "wild-*"], None,
    )  # fmt: skip
    assert send(dora, "get", "/public-models?cursor=none").status_code == 422

    def names(query: str) -> list[str]:
        lines = b"".join(dora.get(f"/admin/models?{query}&export=csv&cols=name")).decode()
        return lines.split()[1:]

    assert names("life=deprecated") == ["org/two"]
    assert names("life=retired") == ["gone"]
    assert names("state=draft") == ["org/two"]
    assert names("q=fast") == ["fast", "one"]
    assert names("cap=tools") == []
    assert "Everyone" in dora.get("/admin/models?life=current").content.decode()


def test_a_model_is_changed_on_its_page(dora: Client) -> None:
    channel_to()
    path = "/admin/models/named/org/two"
    sent = {
        "aliases": "fast\nquick", "context_max": "9000", "output_max": "", "can_tools": "off",
        "can_vision": "on", "deprecated_at": "2026-01-02T00:00", "sunset_at": "2999-01-02T03:04",
        "replacement": "one", "forwards": "on", "roles": ["owner", "custom"],
    }  # fmt: skip
    save = "/admin/models/save/org/two"
    assert dora.post(save, sent)["location"] == path
    entry = ModelEntry.objects.get()
    assert facts_of(entry) == {
        "can": {"tools": False, "vision": True}, "context_max": 9000, "output_max": None,
        "deprecated_at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "sunset_at": dt.datetime(2999, 1, 2, 3, 4, tzinfo=dt.UTC),
        "replacement": "one", "forwards": True, "plans": [], "roles": ["custom", "owner"],
    }  # fmt: skip
    assert all_aliases() == {"fast": "org/two", "quick": "org/two"}
    page = squeezed(dora.get(path).content.decode())
    for text in ("Deprecated", 'value="9000"', 'value="2999-01-02T03:04"', "fast", "custom"):
        assert text in page
    # The same once more is no change.
    events = AuditEvent.objects.count()
    assert dora.post(save, sent).status_code == 303
    assert AuditEvent.objects.count() == events
    wrong = [
        ({"replacement": "org/two"}, "cannot be its own replacement"),
        ({"replacement": "", "forwards": "on"}, "Name the model that answers"),
        ({"sunset_at": "2025-01-01T00:00"}, "Enter a time after the deprecation"),
        ({"replacement": "fast"}, "form a cycle"),
        ({"aliases": "org/two"}, "form a cycle"),
        ({"context_max": "0"}, "Enter a number from 1"),
        ({"plans": "none"}, "is not one of the choices"),
        ({"replacement": NUL}, "Null characters"),
        ({"replacement": EVERYTHING}, "error"),
        ({"aliases": LONG + "长"}, "at most 10000"),
    ]
    for over, text in wrong:
        answer = dora.post(save, sent | over)
        assert (answer.status_code, text in answer.content.decode()) == (422, True), over
    save_alias(SYSTEM, "taken", "one")
    answer = dora.post(save, sent | {"aliases": "taken"})
    assert "already stands for one" in answer.content.decode()
    assert facts_of(ModelEntry.objects.get()) == facts_of(entry)
    for name in ("none", "wild-*", NUL, LONG[:300]):
        assert dora.get(f"/admin/models/named/{name}").status_code == 404
    assert dora.get("/admin/models/named/wild-7").status_code == 200


def test_capability_that_is_left_alone_is_not_stated() -> None:
    form = EntryForm({"can_vision": "on", "can_tools": "off"}, entry=None)
    assert form.is_valid(), form.errors
    assert form.entry_fields()["can"] == {"tools": False, "vision": True}


def test_model_of_a_deleted_plan_stays_hidden(people: Cast, dora: Client) -> None:
    """Another change does not show it to everybody."""
    channel_to()
    save_entry(SYSTEM, "org/two", plans=[save_plan(SYSTEM, "gold").name])
    remove_plan(SYSTEM, Plan.objects.get())
    page = squeezed(dora.get("/admin/models/named/org/two").content.decode())
    assert "gold (deleted)" in page
    ticked = re.findall(r'name="plans"value="(\w+)"[^>]*checked', page.replace(" ", ""))
    assert ticked == ["gold"]
    sent = {"context_max": "9000", "plans": ticked}
    assert dora.post("/admin/models/save/org/two", sent).status_code == 303
    assert ModelEntry.objects.get().plans == ["gold"]
    changed = send(dora, "patch", "/public-models/org/two", {"context_max": 7}).json()
    assert (changed["context_max"], changed["plans"]) == (7, ["gold"])
    assert signed_in(people.alice).get("/models/org/two").status_code == 404
    # No other model gets the plan.
    assert send(dora, "patch", "/public-models/one", {"plans": ["gold"]}).status_code == 422
    assert dora.post("/admin/models/save/one", sent).status_code == 422
    assert dora.post("/admin/models/save/org/two", {"plans": []}).status_code == 303
    assert ModelEntry.objects.get().plans == []


def test_a_model_is_changed_and_reset_by_the_api(dora: Client) -> None:
    channel_to()
    path = "/public-models/org/two"
    asked = {"can": {"tools": True}, "context_max": 7, "sunset_at": "2999-01-01T00:00:00Z"}
    changed = send(dora, "patch", path, asked).json()
    assert (changed["can"], changed["context_max"]) == ({"tools": True}, 7)
    assert changed["facts"]["tools"] is True
    # A sunset without a deprecation is announced now.
    assert changed["deprecated_at"] is not None
    fields = {"aliases": ["a", "b"], "sunset_at": None, "deprecated_at": None, "plans": None}
    changed = send(dora, "patch", path, fields).json()
    assert (changed["aliases"], changed["sunset_at"]) == (["a", "b"], None)
    assert (changed["can"], changed["context_max"]) == ({"tools": True}, 7)
    assert send(dora, "get", path).json() == changed
    for wrong in (
        {"can": {"flying": True}}, {"context_max": 0}, {"context_max": "7"}, {"more": 1},
        {"replacement": "gpt-*"}, {"roles": ["operator"]}, {"plans": ["none"]},
        {"sunset_at": "2027-01-01"}, {"replacement": NUL},
    ):  # fmt: skip
        assert send(dora, "patch", path, wrong).status_code in (400, 422), wrong
    assert send(dora, "delete", path).status_code == 204
    assert send(dora, "delete", path).status_code == 404
    assert send(dora, "get", path).json()["can"] == {}
    actions = AuditEvent.objects.filter(action__startswith="model.").order_by("id")
    assert list(actions.values_list("action", flat=True)) == ["model.saved"] * 2 + ["model.cleared"]


FILE = """\
version: 1
plans:
  - {name: gold}
models:
  - name: org/two
    can: {vision: true}
    context_max: 9000
    deprecated_at: 2026-01-02T00:00:00Z
    sunset_at: 2027-01-02T00:00:00Z
    replacement: one
    forwards: true
    plans: [gold]
    roles: [viewer, admin]
aliases: {fast: org/two}
"""


def test_a_file_brings_models_and_the_export_brings_them_back(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.apply(FILE)
    entry = ModelEntry.objects.get()
    assert (entry.replacement, entry.plans, entry.roles) == ("one", ["gold"], ["admin", "viewer"])
    # What a probe alone has left is no statement.
    ModelEntry.objects.create(name="probed", probe={"results": []})
    exported = installation.export()
    assert "probed" not in exported
    assert "nothing to change" in installation.apply(exported, "--prune")
    with pytest.raises(CommandError, match=r"fast → org/two → fast"):
        installation.apply("version: 1\nmodels: [{name: org/two, replacement: fast}]\n")
    with pytest.raises(CommandError, match="already defined"):
        installation.apply("version: 1\nmodels: [{name: x}, {name: x}]\n")
    installation.apply("version: 1\n", "--prune")
    assert not ModelEntry.objects.exclude(name="probed").exists()


def test_hidden_model_is_absent_from_the_pages(people: Cast) -> None:
    """The list, the model's own page, the prices and the playground's picker alike."""
    channel_to()
    for name in ("one", "org/two"):
        set_price(SYSTEM, name, START, RATES, source="file")
    save_plan(SYSTEM, "gold")
    alice, bob = signed_in(people.alice), signed_in(people.bob)

    def seen(client: Client) -> set[str]:
        paths = ["/models", "/pricing", "/models/org/two"]
        paths += ["/o/acme/playground"] if client is alice else []
        pages = {path: client.get(path) for path in paths}
        return {
            path
            for path, page in pages.items()
            if page.status_code == 200 and "org/two" in page.content.decode()
        }

    assert len(seen(alice)) == 4
    save_entry(SYSTEM, "org/two", plans=["gold"])
    # The page of prices for everybody has no plan.
    assert alice.get("/models/org/two").status_code == 404
    assert seen(alice) == set()
    assign_plan(SYSTEM, people.acme, "gold")
    assert alice.get("/models/org/two").status_code == 200
    save_entry(SYSTEM, "org/two", plans=[], roles=["owner"])
    assert alice.get("/models/org/two").status_code == 200
    assert bob.get("/models/org/two").status_code == 404
    assert seen(Client()) == set()
    past = clock.now() - dt.timedelta(days=1)
    save_entry(SYSTEM, "org/two", roles=[], deprecated_at=past, replacement="one")
    page = squeezed(bob.get("/models/org/two").content.decode())
    assert "Deprecated" in page
    assert 'Use<a href="/models/one">one</a>instead.' in page
    save_entry(SYSTEM, "org/two", sunset_at=past)
    assert seen(alice) == set()


def probed(api: Client, channel: Channel, **over: Any) -> dict[str, Any]:
    fields = {"model": "one", "channel": id_text(channel.id), **over}
    answer = send(api, "post", "/model-probes", fields)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_probe_tests_capabilities_and_proposes_them(dora: Client, fake: FakeUpstream) -> None:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    channel = channel_to(fake.url)
    set_price(SYSTEM, "one", START, RATES, source="file")
    switch_capability(SYSTEM, channel, "one", "tools", None)
    for directives, name in (("#tools=1 #arg=city", "tools"), ("#reasoning=3", "reasoning")):
        fake.script(directives)
        try:
            probe = probed(dora, channel, tries=[name])["probe"]
        finally:
            fake.reset()
        assert [(one["variant"], one["ok"]) for one in probe["results"]] == [(name, True)]
    assert float(probe["cost"]) > 0
    probe = probed(dora, channel)["probe"]
    # The fake calls no tool and thinks nothing unless it is told to, and counts no sound.
    assert {one["variant"]: one["fault"] for one in probe["results"]} == {
        "streamed": None, "tools": "no_tool_call", "schema": None, "vision": None,
        "files": None, "audio": "not_heard", "reasoning": "not_thought",
    }  # fmt: skip
    total = sum(float(one["cost"]) for one in probe["results"] if one["cost"])
    assert float(probe["cost"] or 0) in (0, pytest.approx(total))
    facts = {row.field: row.after for row in ModelProposal.objects.all()}
    assert facts == {
        "tools": False, "schema": True, "vision": True, "files": True, "reasoning": False,
    }  # fmt: skip
    kinds = {medium["kind"] for row in fake.books() for medium in row["media"]}
    assert kinds == {"image", "file", "audio"}
    model = public_model("one")
    assert model is not None
    assert model.entry is not None
    assert model.entry.can == {}
    page = squeezed(dora.get("/admin/models/named/one").content.decode())
    assert "Last probe" in page
    assert "The model did not call the tool" in page
    ids = [id_text(row.id) for row in ModelProposal.objects.all()]
    sent = {"id": ids, "act": "accept", "model": "one"}
    answer = dora.post("/admin/models/catalogue/decide", sent)
    assert answer["location"] == "/admin/models/named/one"
    assert ModelEntry.objects.get().can == facts
    # What holds already is not proposed.
    probed(dora, channel)
    assert not ModelProposal.objects.filter(state="open").exists()
    assert AuditEvent.objects.filter(action="model.probed").count() == 4


def test_a_probe_that_fails_for_another_reason_proposes_nothing(dora: Client) -> None:
    channel = channel_to()
    probe = probed(dora, channel)["probe"]
    assert {one["fault"] for one in probe["results"]} == {"denied"}
    assert not ModelProposal.objects.exists()
    fields = {"model": "one", "channel": id_text(channel.id), "tries": []}
    assert send(dora, "post", "/model-probes", fields).status_code == 422
    page = dora.post("/admin/models/probe/one", {"channel": "none", "tries": "tools"})
    assert page.status_code == 422
    other = create_channel(
        SYSTEM, "other", {"provider": "ollama", "base_url": "http://127.0.0.1:9"}
    )
    fields = {"model": "one", "channel": id_text(other.id)}
    answer = send(dora, "post", "/model-probes", fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "channel")
