"""Home and its start page (W03): whose they are, what ties to rows, what fails alone."""

import datetime as dt
import html
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Key, Role
from billing.balances.balances import add_opening_credit
from billing.models import Account, AccountKind, BudgetScope
from billing.wallets import low_balance
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.models import ChannelReport
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.support.pairwise import slow_unless
from tests.usage.rows import credit, happen, refuse
from usage.limits import budget_simulation
from usage.requests.words import duration_text
from usage.rollups.histograms import stored_value
from usage.rollups.rollups import replace_all

PANELS = ("summary", "spend", "attention", "models", "keys", "errors", "channels", "latest")


@pytest.fixture
def alices(people: Cast) -> Key:
    key, _ = make_key(people.core, "alices", user=people.alice)
    credit(key)
    return key


@pytest.fixture
def bobs(people: Cast) -> Key:
    key, _ = make_key(people.core, "bobs", user=people.bob)
    return key


def sum_up() -> None:
    """Sum all records inside the test's own transaction."""
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())


def whole(client: Client) -> str:
    """Home with all its panels."""
    return client.get("/o/acme/?panels=all").content.decode()


def panel(client: Client, name: str) -> str:
    answer = client.get(f"/o/acme/_f/home/{name}")
    assert answer.status_code == 200
    return answer.content.decode()


def costs_of(client: Client, href: str) -> list[Decimal]:
    """The costs of the rows that a link of a page leads to, from the file of that very list."""
    answer = client.get(f"{html.unescape(href)}&export=csv&cols=cost")
    lines = answer.getvalue().decode("utf-8-sig").split()
    assert lines[0] == "cost_usd"
    return [Decimal(line) for line in lines[1:]]


# The start page ---------------------------------------------------------------------------------


def test_the_steps_are_the_readers_own(people: Cast, alices: Key, bobs: Key) -> None:
    """W03, W21: neither another's request nor one of nobody's key nor one of our pages is mine."""
    alice = signed_in(people.alice)
    nobodys, _ = make_key(people.core, "demo")
    for key in (bobs, nobodys):
        happen(key, clock.now())
    happen(alices, clock.now(), source="playground", key_id=nobodys.id)
    refuse(alices, clock.now())
    sum_up()
    start = alice.get("/o/acme/start").content.decode()
    assert "Make your first request" in start
    assert "Waiting for your first request" in start
    # The refused one is told of, and ticks nothing.
    assert "402" in start
    record = happen(alices, clock.now(), model="river-2")
    received = alice.get("/o/acme/_f/first-request", headers={"hx-request": "true"})
    text = received.content.decode()
    assert f'href="/o/acme/requests/{id_text(record.request_id)}"' in text
    assert "data-done" in text
    assert "hx-trigger" not in text


def is_start_page(client: Client) -> bool:
    return "Make your first request" in client.get("/o/acme/").content.decode()


@pytest.mark.parametrize("source", ["api", "playground"])
def test_home_shows_traffic_whoever_caused_it(people: Cast, bobs: Key, source: str) -> None:
    """An owner who calls nothing met the start page after every sign-in, weeks of spend behind."""
    alice = signed_in(people.alice)
    credit(bobs)
    refuse(bobs, clock.now())
    assert is_start_page(alice), "a refused request is nothing to show"
    happen(bobs, clock.now(), source=source)
    assert not is_start_page(alice)


def test_developers_home_shows_their_own_requests(people: Cast, alices: Key, bobs: Key) -> None:
    happen(alices, clock.now())
    assert is_start_page(signed_in(people.bob))
    happen(bobs, clock.now())
    assert not is_start_page(signed_in(people.bob))


def test_an_old_request_is_known_from_the_sums(people: Cast, alices: Key) -> None:
    people.acme.created_at = clock.now() - dt.timedelta(days=1)
    people.acme.save()
    happen(alices, clock.now() - dt.timedelta(hours=3))
    alice = signed_in(people.alice)
    assert is_start_page(alice)
    sum_up()
    assert not is_start_page(alice)


def test_a_key_made_there_stands_in_the_code(people: Cast) -> None:
    """The text of the key is in that one answer, in each language, and nowhere afterwards."""
    alice = signed_in(people.alice)
    response = alice.post("/o/acme/start/key", {"name": "first"})
    page = response.content.decode()
    assert response.headers["Cache-Control"] == "private, no-store"
    (secret,) = set(re.findall(r"sk-weir-[0-9A-Za-z]{20,}", page))
    code = html.unescape(re.sub(r"<[^>]*>", "", page.partition('class="code-tabs"')[2]))
    assert code.count(secret) == 3
    assert "WEIR_API_KEY" not in code
    assert Key.objects.get(name="first").user == people.alice
    again = alice.get("/o/acme/").content.decode()
    assert secret not in again
    assert "$WEIR_API_KEY" in again
    refused = alice.post("/o/acme/start/key", {"name": "first"})
    assert refused.status_code == 422
    assert 'aria-invalid="true"' in refused.content.decode()


def test_unnamed_keys_created_there_are_numbered(people: Cast) -> None:
    alice = signed_in(people.alice)
    for _ in range(2):
        assert alice.post("/o/acme/start/key", {"name": ""}).status_code == 200
    made = Key.objects.filter(user=people.alice, kind="relay").order_by("name")
    assert [key.name for key in made] == ["First key", "First key 2"]


def test_code_uses_the_last_used_chat_model(people: Cast, alices: Key) -> None:
    """After a picture, the example was a chat with the model that had made it."""
    save_settings(SYSTEM, unpriced_models="free")
    models = {"river-9": "", "gpt-image-1": "", "brook-1": ""}
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
        "models": models,
    }
    create_channel(SYSTEM, "one", fields)
    people.alice.created_at = clock.now() - dt.timedelta(days=1)
    people.alice.save()
    alice = signed_in(people.alice)
    for model, minutes in (("river-9", 60), ("gpt-image-1", 20)):
        happen(alices, clock.now() - dt.timedelta(minutes=minutes), model=model)
        sum_up()
        start = alice.get("/o/acme/start").content.decode()
        code = html.unescape(re.sub(r"<[^>]*>", "", start.partition('class="code-tabs"')[2]))
        assert ('"model": "river-9"' in code) == (model == "river-9")
        assert '"model": "gpt-image-1"' not in code
    assert signed_in(people.charlie).get("/o/acme/start").status_code == 404


def test_the_start_page_leads_to_the_agents(people: Cast) -> None:
    """Whoever came for a coding agent looks for nothing else."""
    link = '<a href="/o/acme/connect">Connect an agent</a>'
    assert link in signed_in(people.alice).get("/o/acme/start").content.decode()


def test_the_start_page_can_be_skipped(people: Cast) -> None:
    alice = signed_in(people.alice)
    skipped = alice.post("/o/acme/start/skip")
    assert skipped["Location"] == "/o/acme/"
    assert 'id="home-summary"' in alice.get("/o/acme/").content.decode()
    assert "Make your first request" in alice.get("/o/acme/start").content.decode()
    again = signed_in(people.alice)
    assert is_start_page(again), "another browser asks again"
    again.cookies["start_skipped"] = skipped.cookies["start_skipped"].value
    assert not is_start_page(again), "a new sign-in of the same browser does not"
    assert skipped.cookies["start_skipped"]["path"] == "/o/acme/"


def test_person_who_cannot_call_has_no_start_page(people: Cast) -> None:
    vic = signed_in(member(people.acme, "vic", Role.VIEWER))
    assert "Make your first request" not in vic.get("/o/acme/").content.decode()
    assert vic.post("/o/acme/start/key", {"name": "x"}).status_code == 403


# Panels -----------------------------------------------------------------------------------------


def test_each_panel_is_requested_separately(people: Cast, alices: Key) -> None:
    happen(alices, clock.now())
    shell = signed_in(people.alice).get("/o/acme/").content.decode()
    asked = re.findall(r'hx-get="/o/acme/_f/home/(\w+)"\s+hx-trigger="load"', shell)
    assert asked == [name for name in PANELS if name != "channels"]
    assert shell.count("skeleton") == len(asked)


def test_month_is_written_in_the_readers_language(people: Cast, alices: Key) -> None:
    """It was 十一月 2026 in Chinese."""
    happen(alices, clock.now())
    alice, now = signed_in(people.alice), clock.now()
    alice.cookies["language"] = "zh-hans"
    assert f"{now.year}年{now.month}月" in alice.get("/o/acme/").content.decode()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=slow_unless(n % 3 == 0))
        for n, name in enumerate(PANELS)
        if name != "channels"
    ],
)
def test_failing_panel_spares_the_others(
    people: Cast, alices: Key, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from config.home import panels as home_panels

    def broken(*_: object) -> dict[str, Any]:
        raise RuntimeError("a secret detail")

    happen(alices, clock.now())
    failing = home_panels.PANELS[name]._replace(read=broken)
    monkeypatch.setitem(home_panels.PANELS, name, failing)
    page = whole(signed_in(people.alice))
    assert page.count("Could not load") == 1
    assert "a secret detail" not in page
    assert re.search(rf'hx-get="/o/acme/_f/home/{name}"', page)
    for other in PANELS:
        if other != "channels":
            assert f'id="home-{other}"' in page


def test_every_panel_says_when_it_is_empty(people: Cast) -> None:
    vic = signed_in(member(people.acme, "vic", Role.VIEWER))
    page = whole(vic)
    for text in ("No spend this month", "All clear", "No usage this month", "No errors this month",
                 "No requests yet"):  # fmt: skip
        assert text in page


def test_what_each_role_sees(people: Cast, alices: Key, bobs: Key) -> None:
    add_opening_credit(people.stranger, 1, actor="test")
    for key, charge_nano in ((alices, 3 * 10**9), (bobs, 2 * 10**9)):
        happen(key, clock.now(), charge_nano, model=f"of-{key.name}")
    sum_up()
    pages = {
        role: whole(signed_in(member(people.acme, role, Role(role))))
        for role in ("viewer", "billing")
    }
    pages["owner"] = whole(signed_in(people.alice))
    pages["developer"] = whole(signed_in(people.bob))
    pages["operator"] = whole(signed_in(people.dora))
    for role in ("viewer", "billing", "owner", "operator"):
        assert "$5.00" in pages[role], role
        assert "of-alices" in pages[role]
    assert "$2.00" in pages["developer"]
    assert "$5.00" not in pages["developer"]
    assert "of-alices" not in pages["developer"]
    with_balance = {role for role, page in pages.items() if ">Balance<" in page}
    assert with_balance == {"billing", "owner", "operator"}
    assert {role for role, page in pages.items() if "home-channels" in page} == {"operator"}
    bob = signed_in(people.bob)
    assert bob.get("/o/acme/_f/home/channels").status_code == 404
    assert bob.get("/o/acme/_f/home/nothing").status_code == 404
    assert signed_in(people.charlie).get("/o/acme/_f/home/spend").status_code == 404


def test_figures_tie_to_their_rows(people: Cast, alices: Key, bobs: Key) -> None:
    """I17: what a panel says is the sum of the rows that it leads to."""
    now = clock.now()
    for n, key in enumerate((alices, bobs, alices)):
        happen(key, now, (n + 1) * 10**9, model=f"model-{n % 2}")
    for kind, status in (("rate_limited", 429), ("upstream_error", 502), ("upstream_error", 502)):
        refuse(bobs, now, kind=kind, status=status)
    happen(alices, now, 10**9, status=499)
    sum_up()
    alice = signed_in(people.alice)
    for name in ("models", "keys"):
        matches = re.findall(r'href="([^"]+&amp;(?:model|key)=[^"]+)".*?\$([\d.]+)\s*</td>',
                           panel(alice, name), re.S)  # fmt: skip
        assert len(matches) == (3 if name == "models" else 2)
        for href, exact in matches:
            assert sum(costs_of(alice, href)) == Decimal(exact)
    causes = re.findall(
        r'href="([^"]+cause=(\w+)[^"]*)".*?<td class="n">(\d+)</td>', panel(alice, "errors"), re.S
    )
    assert [(cause, int(n)) for _, cause, n in causes] == [
        ("upstream_error", 2),
        ("rate_limited", 1),
    ]
    for href, cause, n in causes:
        assert len(costs_of(alice, href)) == int(n), cause
    spend = panel(alice, "spend")
    days = re.findall(r'<tr data-unfinished>.*?data-v="(\d+)">[^<]*</td>\s*</tr>', spend, re.S)
    assert [int(nano) for nano in days] == [7 * 10**9]
    assert "$7.00" in panel(alice, "summary")


def test_time_to_first_token(people: Cast, alices: Key) -> None:
    for ttft_ms in range(100, 2100, 100):
        happen(alices, clock.now() - dt.timedelta(minutes=1), ttft_ms=ttft_ms)
    sum_up()
    summary = panel(signed_in(people.alice), "summary")
    p50, p95 = (duration_text(stored_value(ms)) for ms in (1000, 1900))
    assert p50 in summary
    assert f"p95 {p95}" in summary
    # The newest 1,000 are not all: of each as many again, and none of them is new.
    for _ in range(2):
        happen(alices, clock.now() - dt.timedelta(hours=23), ttft_ms=40_000)
    sum_up()
    assert f"p95 {duration_text(stored_value(40_000))}" in panel(signed_in(people.alice), "summary")


def test_matters_needing_attention(people: Cast, alices: Key) -> None:
    """Each links to its rows; what is fine is not named."""
    soon, _ = make_key(people.core, "soon", expires_at=clock.now() + dt.timedelta(days=3))
    make_key(people.core, "later", expires_at=clock.now() + dt.timedelta(days=60))
    happen(alices, clock.now(), 9 * 10**9)
    near = _budget(people, alices, 10**10)
    _budget(people, soon, 10**10)
    page = panel(signed_in(people.alice), "attention")
    assert f'href="/o/acme/budgets/{near.id}"' in page
    assert "$9.00 of $10.00" in page
    assert f'href="/o/acme/keys/{id_text(soon.id)}"' in page
    assert "later" not in page
    assert page.count("<li>") == 2
    bob = panel(signed_in(people.bob), "attention")
    assert "All clear" in bob


def _budget(people: Cast, key: Key, amount_nano: int) -> Any:
    from accounts.access.actors import SYSTEM

    return budget_simulation.create_budget(
        SYSTEM, people.acme, scope=BudgetScope.KEY, subject=str(key.id),
        amount_nano=amount_nano, period="month",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ({}, "No other channel serves these models: river-1, river-2."),
        ({"river-1": ""}, "No other channel serves river-2."),
        ({"river-*": ""}, "Other channels serve its models."),
    ],
)
def test_unavailable_channel_names_its_unserved_models(
    people: Cast, others: dict[str, str], text: str
) -> None:
    """It said that requests go to other channels where there was none."""
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
    }
    dead = create_channel(SYSTEM, "dead", {**fields, "models": {"river-1": "", "river-2": ""}})
    if others:
        create_channel(SYSTEM, "other", {**fields, "models": others})
        of_strangers: ChannelFields = {
            **fields,
            "models": {"*": ""},
            "conditions": {"teams": ["stranger"]},
        }
        create_channel(SYSTEM, "of one team", of_strangers)
    report = {"status": ["open", 9, "upstream_unreachable"], "keys": []}
    ChannelReport.objects.create(
        process_id=new_id(), reported_at=clock.now(), epoch=1, channels={str(dead.id): report}
    )
    page = panel(signed_in(people.dora), "attention")
    assert "Channel dead is unavailable" in page
    assert text in page


def test_an_empty_balance_needs_attention(people: Cast) -> None:
    page = panel(signed_in(people.alice), "attention")
    assert "The balance is used up" in page
    assert 'href="/o/acme/billing"' in page


_USD = 10**9
# Available, credit line, debt and alert level, in USD, and what the panel says of them.
_FUNDS = [
    (0, 0, 0, None, "used up"),
    (0, 5, 0, None, ""),
    (0, 5, 0, 3, "low"),
    (2, 0, 0, None, ""),
    (2, 0, 0, 2, ""),
    (2, 0, 0, 3, "low"),
    (2, 0, 0, 0, ""),
    (0, 0, 4, None, "used up"),
    (0, 4, 4, None, "used up"),
    (0, 5, 4, None, ""),
    (-5, 5, 0, None, "used up"),
    (-4, 5, 0, None, ""),
]


@pytest.mark.parametrize(("available", "line", "debt", "level", "said"), _FUNDS)
def test_balance_needs_attention_where_no_fund_is_left(
    people: Cast, available: int, line: int, debt: int, level: int | None, said: str
) -> None:
    """A balance of 0 is no empty wallet where a credit line is left."""
    for kind, usd in ((AccountKind.AVAILABLE, available), (AccountKind.DEBT, -debt)):
        Account.objects.update_or_create(
            organisation=people.acme,
            kind=kind,
            defaults={
                "balance_nano": usd * _USD,
                "overdraft_nano": line * _USD if kind == AccountKind.AVAILABLE else 0,
            },
        )
    if level is not None:
        low_balance.set_low_balance(actor(people.alice, people.acme), people.acme, level * _USD)
    page = panel(signed_in(people.alice), "attention")
    assert [word for word in ("used up", "low") if f"The balance is {word}" in page] == (
        [said] if said else []
    )


def test_home_panel_reads_few_rows(
    people: Cast, alices: Key, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    happen(alices, clock.now())
    alice = signed_in(people.alice)
    alice.get("/o/acme/")
    with django_assert_max_num_queries(25):
        alice.get("/o/acme/")


@pytest.mark.parametrize(
    ("days", "decided", "told"),
    [(2, "", True), (0, "", False), (2, "page", False), (2, "environment", False)],
)
def test_operator_learns_of_missing_backups(
    people: Cast, settings: Any, days: int, decided: str, told: bool
) -> None:
    """Not who only tries it, and nobody who said that others make them."""
    people.dora.created_at = clock.now() - dt.timedelta(days=days)
    people.dora.save()
    if decided == "page":
        save_settings(SYSTEM, backup_every_hours=24)
    settings.BACKUP_EVERY_HOURS = 0 if decided == "environment" else None
    page = panel(signed_in(people.dora), "attention")
    assert ("No backups are made" in page) is told
    assert ('href="/admin/settings/backups"' in page) is told
    people.alice.created_at = people.dora.created_at
    people.alice.save()
    assert "No backups are made" not in panel(signed_in(people.alice), "attention")
