"""W40, W41, W75, W77: the pages of money, who may open them, and that their figures tie."""

import datetime as dt
import html
import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts.models import Organisation, Role
from billing.balances.balances import add_opening_credit, balance
from billing.credits import codes, credits, promo
from billing.ledger import statement
from billing.models import Credit, Hold, TopUp, WalletSetting
from billing.topups import topups
from billing.topups.forms import TopUpForm
from billing.wallets.views import LEDGER
from lib import clock
from lib.ids import id_text
from tests.fakes.processor import FakeProcessor
from tests.support import cast
from tests.support.approving import waiting_approval
from tests.support.lists import file_of, rows_of
from tests.usage.rows import admit, credit, happen

USD = 10**9
PAGES = {
    "billing": "balance.read",
    "billing/holds": "balance.read",
    "billing/top-ups": "topups.read",
    "billing/top-up": "topups.write",
    "billing/redeem": "codes.redeem",
    "billing/alerts": "wallet.write",
    "webhooks": "webhooks.read",
}
LEDGER_FILE = "/o/acme/billing?export=csv&cols=" + ",".join(one.name for one in LEDGER.columns)


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def once_of(answer: Any) -> str:
    match = re.search(r'name="once" value="([^"]+)"', answer.content.decode())
    assert match
    return match[1]


def seen_of(answer: Any) -> str:
    match = re.search(r'name="seen" value="([^"]+)"', answer.content.decode())
    assert match
    return match[1]


@pytest.mark.parametrize("role", cast.BUILT_IN)
def test_people_who_may_open_the_billing_pages(people: cast.Cast, role: Role) -> None:
    browser = cast.signed_in(cast.member(people.acme, f"x{role.value}", role))
    opened = {
        page for page in PAGES if browser.get(f"/o/acme/{page}", follow=True).status_code == 200
    }
    money = {"billing", "billing/holds", "billing/top-ups"}
    assert (
        opened
        == {
            Role.OWNER: set(PAGES),
            Role.ADMIN: money | {"billing/redeem", "webhooks"},
            Role.BILLING: money | {"billing/top-up", "billing/redeem", "billing/alerts"},
            Role.DEVELOPER: {"billing/redeem"},
            Role.VIEWER: set(),
        }[role]
    )


@pytest.mark.parametrize("page", [*PAGES, "billing/top-ups/" + "0" * 26])
def test_a_stranger_finds_nothing(people: cast.Cast, page: str) -> None:
    assert cast.signed_in(people.charlie).get(f"/o/acme/{page}").status_code == 404


def test_held_money_is_listed_with_request_and_age(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(key, 100 * USD)
    alice = cast.signed_in(people.alice)
    assert "Nothing is reserved" in text_of(alice.get("/o/acme/billing/holds"))
    now = clock.now()
    fresh = admit(key, now, hold_nano=2 * USD)
    late = admit(key, now - dt.timedelta(hours=2), hold_nano=3 * USD)
    first, second = rows_of(alice, "/o/acme/billing/holds")
    assert id_text(late.request_id) in first
    assert "Overdue" in first
    assert id_text(fresh.request_id) in second
    assert "Running" in second
    assert "$2.00" in second
    # What waits for a review is held as well: the rows come to what the card says.
    Hold.objects.filter(id=late.id).update(state="kept", resolved_at=now)
    assert "Under review" in rows_of(alice, "/o/acme/billing/holds")[0]
    assert 'href="/o/acme/billing/holds"' in alice.get("/o/acme/billing").content.decode()


def test_young_organisation_is_projected_from_its_own_days(people: cast.Cast) -> None:
    """A week's pace would promise it seven times as long."""
    key, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(key, 70 * USD)
    happen(key, clock.now(), 7 * USD, hold_nano=7 * USD)
    alice = cast.signed_in(people.alice)
    assert "in 9 days at the current rate" in text_of(alice.get("/o/acme/billing"))
    Organisation.objects.update(created_at=clock.now() - dt.timedelta(days=30))
    assert "in 63 days at the current rate" in text_of(alice.get("/o/acme/billing"))


def test_the_overview_ties_with_the_ledger_and_the_api(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 146_710_000_000)
    happen(key, clock.now(), 18_310_000_000, hold_nano=20 * USD)
    credits.request_credit(cast.actor(people.dora), people.acme, 2_100_000_000, reason="Outage")
    page = text_of(cast.signed_in(people.alice).get("/o/acme/billing"))
    assert "$130.50" in page
    assert "−$18.31" in page
    assert "+$2.10" in page
    assert "1 charge" in page
    assert "Outage" in page
    result = statement.statement(people.acme, statement.month_of(None))
    assert result.closing_nano == balance(people.acme).available_nano == 130_500_000_000
    rows = file_of(cast.signed_in(people.alice), LEDGER_FILE)
    assert {row["balance_usd"] for row in rows if row["type"] == "adjust"} <= {"130.50", "148.81"}
    assert [row["amount_usd"] for row in rows if row["type"] == "usage"] == ["-18.31"]


def test_the_ledger_is_filtered_sorted_and_exported(people: cast.Cast) -> None:
    for amount, reason in ((5, "Outage"), (-2, "Wrong invoice"), (3, "Goodwill")):
        credits.request_credit(cast.actor(people.dora), people.acme, amount * USD, reason=reason)
    alice, ledger = cast.signed_in(people.alice), "/o/acme/billing"
    assert [row.split()[-1] for row in rows_of(alice, f"{ledger}?sort=amount&cols=id,amount")] == [
        "−$2.00", "+$3.00", "+$5.00",
    ]  # fmt: skip
    [row] = rows_of(alice, f"{ledger}?type=adjust&q=wrong")
    assert "Wrong invoice" in row
    assert rows_of(alice, f"{ledger}?type=topup") == []
    exported = file_of(alice, f"{ledger}?q=o&cols=reason,amount&sort=-amount&export=csv")
    assert exported == [
        {"reason": "Outage", "amount_usd": "5.00"},
        {"reason": "Goodwill", "amount_usd": "3.00"},
        {"reason": "Wrong invoice", "amount_usd": "-2.00"},
    ]
    Organisation.objects.update(created_at=clock.now() - dt.timedelta(days=70))
    past = f"{statement.month_before(statement.month_of(None)):%Y-%m}"
    assert f'<option value="{past}"' in alice.get(ledger).content.decode()
    assert "Nothing matches" in text_of(alice.get(f"{ledger}?month={past}"))


@pytest.mark.parametrize("month", ["2026-13", "November", ""])
def test_invalid_month_shows_no_other_months_figures(people: cast.Cast, month: str) -> None:
    client = cast.signed_in(people.alice)
    for asked in ({"month": month}, {"month": month, "export": "csv"}):
        assert client.get("/o/acme/billing", asked).status_code == 404


def test_no_cell_of_the_file_is_a_formula(people: cast.Cast) -> None:
    people.dora.email = "=dora@example.org"
    people.dora.save()
    credits.request_credit(
        cast.actor(people.dora), people.acme, USD, reason="=1+1", document="@SUM(A1)"
    )
    [row] = file_of(cast.signed_in(people.alice), LEDGER_FILE)
    messages = (row["reason"], row["document"], row["by"])
    assert messages == ("'=1+1", "'@SUM(A1)", "'=dora@example.org")


def test_a_top_up_by_page(people: cast.Cast, bank: FakeProcessor) -> None:
    browser = cast.signed_in(people.alice)
    once = once_of(browser.get("/o/acme/billing/top-up"))
    form = {"amount": "other", "other": "1,234.50", "processor": "stripe", "once": once}
    first = browser.post("/o/acme/billing/top-up", form)
    assert first.status_code == 303
    assert browser.post("/o/acme/billing/top-up", form)["Location"] == first["Location"]
    top_up = TopUp.objects.get()
    assert top_up.amount_nano == 1_234_500_000_000
    page = browser.get(first["Location"])
    assert top_up.checkout_url in page.content.decode()
    assert 'hx-trigger="every 2s"' in page.content.decode()
    assert "without paying" in text_of(browser.get(first["Location"] + "?return=cancelled"))
    headers, body = bank.signed(bank.pay(top_up.checkout_id))
    Client().post("/processors/stripe/events", body, "application/json", headers=headers)
    page = browser.get(first["Location"])
    assert "$1,234.50 was added" in text_of(page)
    assert "every 2s" not in page.content.decode()
    changed = browser.post("/o/acme/billing/top-up", {**form, "other": "50"})
    assert changed.status_code == 422
    assert "already submitted" in text_of(changed)


def test_scripts_lead_to_the_payment_page(people: cast.Cast, bank: FakeProcessor) -> None:
    form = {"amount": "25", "processor": "stripe"}
    answer = cast.signed_in(people.alice).post(
        "/o/acme/billing/top-up", form, headers={"HX-Request": "true"}
    )
    assert answer["HX-Redirect"] == TopUp.objects.get().checkout_url


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"amount": "other", "other": ""}, "Enter an amount"),
        ({"amount": "other", "other": "12.345"}, "at most two decimal places"),
        ({"amount": "other", "other": "1e3"}, "Enter an amount"),
        ({"amount": "other", "other": "12,50"}, "Enter an amount such as 12.50."),
        ({"amount": "other", "other": "0"}, "from 5 to 10,000 USD"),
        ({"amount": "other", "other": "99999999999"}, "This amount is too large."),
        ({"amount": "other", "other": "4"}, "from 5 to 10,000"),
        ({"amount": "25", "processor": "paypal"}, "paypal"),
    ],
)
def test_rejected_top_ups(people: cast.Cast, form: dict[str, str], text: str) -> None:
    answer = cast.signed_in(people.alice).post(
        "/o/acme/billing/top-up", {"processor": "manual", **form}
    )
    assert answer.status_code == 422
    assert text in text_of(answer)
    assert not TopUp.objects.exists()


def test_an_admin_reads_top_ups_and_orders_none(people: cast.Cast) -> None:
    admin = cast.signed_in(cast.member(people.acme, "ada", Role.ADMIN))
    form = {"amount": "25", "processor": "manual"}
    assert admin.post("/o/acme/billing/top-up", form).status_code == 403
    assert not TopUp.objects.exists()


def test_the_form_offers_what_is_configured() -> None:
    fields: Any = TopUpForm(["manual"]).fields
    assert [value for value, _ in fields["processor"].choices] == ["manual"]


def test_a_code_is_redeemed_by_page(people: cast.Cast) -> None:
    dora = cast.actor(people.dora)
    batch = codes.create_batch(dora, "Spring", 5 * USD, 1, credit_days=30)
    [text] = codes.download_codes(dora, batch)
    bob = cast.signed_in(people.bob)
    for n in range(4):
        wrong = bob.post("/o/acme/billing/redeem", {"code": f"no such code {n}"})
        assert wrong.status_code == 422
        assert "does not exist, has already been used, or has expired" in text_of(wrong)
    page = text_of(bob.post("/o/acme/billing/redeem", {"code": text.lower()}))
    assert "$5.00 was added" in page
    assert "expires on" in page
    assert "available" not in page  # a developer does not see the balance
    again = bob.post("/o/acme/billing/redeem", {"code": text})
    assert "already redeemed this code" in text_of(again)
    bob.post("/o/acme/billing/redeem", {"code": "no such code"})
    assert bob.post("/o/acme/billing/redeem", {"code": text}).status_code == 429
    assert balance(people.acme).available_nano == 5 * USD
    overview = text_of(cast.signed_in(people.alice).get("/o/acme/billing"))
    assert "Promotional credit" in overview
    assert len(list(promo.grants_left(people.acme.id))) == 1


def test_alerts_by_page(people: cast.Cast) -> None:
    alice = cast.signed_in(people.alice)
    form = {"low": "50", "below": "10", "amount": "50"}
    offered = alice.get("/o/acme/billing/alerts").content.decode()
    # Without card payments, nothing to fill in is offered that cannot be used.
    assert "not available on this installation" in offered
    assert '<input type="hidden" name="below"' in offered
    assert alice.post("/o/acme/billing/alerts", form).status_code == 303
    assert WalletSetting.objects.get().low_nano == 50 * USD
    refused = alice.post("/o/acme/billing/alerts", {**form, "enabled": "on"})
    assert refused.status_code == 422
    assert "save the card first" in text_of(refused)
    page = text_of(alice.get("/o/acme/billing"))
    assert "Email alert below $50.00" in page


def test_corrections_by_page_need_two(people: cast.Cast) -> None:
    dora, otto = cast.signed_in(people.dora), cast.signed_in(cast.person("otto", operator=True))
    once = once_of(dora.get("/admin/credits/new"))
    form = {"organisation": "acme", "amount": "500", "kind": "promo", "days": "30",
            "reason": "Welcome", "document": "", "once": once}  # fmt: skip
    response = dora.post("/admin/credits/new", form)
    assert "acme: $0.00 → $500.00 available" in text_of(response)
    assert not Credit.objects.exists()
    form["seen"] = seen_of(response)
    for _ in range(2):
        assert dora.post("/admin/credits/new", form).status_code == 303
    credit = Credit.objects.get()
    url = f"/admin/approvals/{waiting_approval(credits.CORRECTION, credit).outer_id}"
    assert "Withdraw" in text_of(dora.get(url))
    dora.post(f"{url}/decide", {"act": "approve"})
    assert balance(people.acme).available_nano == 0
    assert f'href="{url}"' in otto.get("/admin/credits").content.decode()
    assert "Available $0.00 $500.00" in text_of(otto.get(url))
    otto.post(f"{url}/decide", {"act": "approve"})
    assert balance(people.acme).available_nano == 500 * USD
    alice = cast.signed_in(people.alice)
    [row] = rows_of(alice, "/o/acme/billing?cols=type,reason,by")
    assert row == "Promotional credit Welcome otto@example.org"
    [line, *_] = file_of(alice, LEDGER_FILE)
    assert (line["type"], line["document"], line["by"]) == ("promo", "", "otto@example.org")
    unknown = dora.post("/admin/credits/new", {**form, "once": "other", "organisation": "nobody"})
    assert "organisation does not exist" in text_of(unknown)


def test_both_operators_confirm_a_correction_into_debt(people: cast.Cast) -> None:
    dora, otto = cast.signed_in(people.dora), cast.signed_in(cast.person("otto", operator=True))
    add_opening_credit(people.acme, 108 * USD)
    form = {"organisation": "acme", "amount": "-1,108", "kind": "cash", "reason": "Wrong invoice"}
    response = dora.post("/admin/credits/new", form)
    assert "acme: $108.00 → −$1,000.00 available" in text_of(response)
    assert "$1,000.00 will be owed" in text_of(response)
    # Who changes the amount then sees what that one does.
    other = dora.post("/admin/credits/new", {**form, "seen": seen_of(response), "amount": "-1,109"})
    assert "→ −$1,001.00" in text_of(other)
    assert not Credit.objects.exists()
    assert dora.post("/admin/credits/new", {**form, "seen": seen_of(response)}).status_code == 303
    url = f"/admin/approvals/{waiting_approval(credits.CORRECTION, Credit.objects.get()).outer_id}"
    page = text_of(otto.get(url))
    assert "$108.00 −$1,000.00" in page
    assert "$1,000.00 debt allowed" in page
    sent = {"act": "approve"}
    assert "Confirm that this is intended" in text_of(otto.post(f"{url}/decide", sent))
    assert balance(people.acme).debt_nano == 0
    otto.post(f"{url}/decide", {**sent, "confirmed": "on"})
    assert balance(people.acme) == (0, 0, 1_000 * USD)
    overview = text_of(cast.signed_in(people.alice).get("/o/acme/billing"))
    assert "Balance −$1,000.00" in overview  # the chip of the header


def test_a_comma_in_a_correction_moves_nothing(people: cast.Cast) -> None:
    form = {"organisation": "acme", "amount": "0,75", "kind": "cash", "reason": "Wrong"}
    answer = cast.signed_in(people.dora).post("/admin/credits/new", form)
    assert answer.status_code == 422
    assert "Enter an amount such as 12.50." in text_of(answer)


def test_the_second_operator_approves_the_reference_of_the_first(people: cast.Cast) -> None:
    alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
    otto = cast.signed_in(cast.person("otto", operator=True))
    form = {"amount": "other", "other": "1,250.50", "processor": "manual"}
    state = alice.post("/o/acme/billing/top-up", form)["Location"]
    assert "1250.50" in text_of(alice.get(state))
    id = id_text(TopUp.objects.get().id)
    dora.post(f"/admin/payments/{id}/confirm", {"document": "BANK-1"})
    assert "A second one has to confirm it" in text_of(alice.get(state))
    page = f"/admin/approvals/{waiting_approval(topups.TOP_UP, TopUp.objects.get()).outer_id}"
    assert f'href="{page}"' in otto.get("/admin/payments").content.decode()
    assert "Bank reference – BANK-1" in text_of(otto.get(page))
    otto.post(f"/admin/payments/{id}/confirm", {"document": "OTHER"})
    assert balance(people.acme).available_nano == 0
    otto.post(f"{page}/decide", {"act": "approve"})
    assert "BANK-1" in text_of(alice.get("/o/acme/billing"))
    assert file_of(alice, LEDGER_FILE)[0]["document"] == "BANK-1"


def test_a_transfer_is_cancelled_by_page(people: cast.Cast) -> None:
    alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
    states = [
        alice.post("/o/acme/billing/top-up", {"amount": "100", "processor": "manual"})["Location"]
        for _ in range(2)
    ]
    assert "Cancel top-up" in text_of(alice.get(states[0]))
    assert cast.signed_in(people.bob).post(f"{states[0]}/cancel").status_code == 403
    assert cast.signed_in(people.charlie).post(f"{states[0]}/cancel").status_code == 404
    alice.post(f"{states[0]}/cancel")
    assert "was cancelled" in text_of(alice.get(states[0]))
    dora.post(f"/admin/payments/{states[1].rpartition('/')[2]}/refuse")
    assert "was cancelled" in text_of(alice.get(states[1]))
    assert all("Cancelled" in row for row in rows_of(dora, "/admin/payments"))


def test_codes_by_page(people: cast.Cast) -> None:
    dora = cast.signed_in(people.dora)
    form = {"name": "Spring", "value": "5", "count": "3", "max_uses": "1"}
    assert dora.post("/admin/codes/new", form).status_code == 303
    id = re.findall(r"/admin/codes/(\w+)/download", dora.get("/admin/codes").content.decode())[0]
    file = dora.post(f"/admin/codes/{id}/download")
    assert file["Content-Disposition"].startswith("attachment")
    assert len(file.content.decode().splitlines()) == 4
    assert dora.post(f"/admin/codes/{id}/download").status_code == 303
    assert "already downloaded" in text_of(dora.get("/admin/codes"))
    assert "Active" in rows_of(dora, "/admin/codes")[0]
    assert dora.post(f"/admin/codes/{id}/kill", {"confirm": "Autumn"}).status_code == 422
    assert "Disabled" not in rows_of(dora, "/admin/codes")[0]
    dora.post(f"/admin/codes/{id}/kill", {"confirm": "Spring"})
    assert "Disabled" in rows_of(dora, "/admin/codes")[0]


def test_corrections_are_filtered_sorted_and_exported(people: cast.Cast) -> None:
    for amount, reason in ((5, "Outage"), (-2, "Wrong invoice"), (5_000, "Welcome")):
        credits.request_credit(cast.actor(people.dora), people.acme, amount * USD, reason=reason)
    dora, page = cast.signed_in(people.dora), "/admin/credits"
    assert rows_of(dora, f"{page}?state=posted&sort=amount&cols=reason,amount") == [
        "Wrong invoice −$2.00", "Outage +$5.00",
    ]  # fmt: skip
    exported = file_of(dora, f"{page}?q=we&cols=organisation,state,amount&export=csv")
    assert exported == [{"organisation": "Acme", "state": "Pending", "amount_usd": "5000.00"}]


def test_batches_are_filtered_sorted_and_exported(people: cast.Cast) -> None:
    actor = cast.actor(people.dora)
    for name, usd, count in (("Spring", 5, 3), ("Autumn", 7, 2)):
        codes.create_batch(actor, name, usd * USD, count)
    dora, page = cast.signed_in(people.dora), "/admin/codes"
    codes.kill_batch(actor, codes.create_batch(actor, "Winter", USD, 1))
    rows = rows_of(dora, f"{page}?state=unmade&sort=value&cols=name,count")
    assert [row.split()[0] for row in rows] == ["Spring", "Autumn"]
    exported = file_of(dora, f"{page}?q=UTU&cols=name,value,used&export=csv")
    assert exported == [{"name": "Autumn", "value_usd": "7.00", "used": "0"}]


def test_top_ups_are_filtered_sorted_and_exported(people: cast.Cast) -> None:
    """W41 by the organisation, W77 by operators."""
    alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
    for amount in ("25", "100"):
        alice.post("/o/acme/billing/top-up", {"amount": amount, "processor": "manual"})
    alice.post(f"/o/acme/billing/top-ups/{TopUp.objects.earliest('id').outer_id}/cancel")
    for client, page in ((alice, "/o/acme/billing/top-ups"), (dora, "/admin/payments")):
        assert len(rows_of(client, f"{page}?sort=created&cols=amount,state")) == 2
        asked = f"{page}?state=cancelled&method=manual&cols=state,amount"
        assert rows_of(client, f"{page}?state=paid") == []
        [row] = file_of(client, f"{asked}&export=csv")
        assert row == {"state": "Cancelled", "amount_usd": "25.00"}
    assert rows_of(dora, "/admin/payments?q=stranger") == []


def test_holds_are_filtered_sorted_and_exported(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(key, 100 * USD)
    admit(key, clock.now(), hold_nano=2 * USD)
    late = admit(key, clock.now() - dt.timedelta(hours=2), hold_nano=3 * USD)
    alice, page = cast.signed_in(people.alice), "/o/acme/billing/holds"
    assert [row[:5] for row in rows_of(alice, f"{page}?sort=held&cols=held")] == ["$2.00", "$3.00"]
    exported = file_of(alice, f"{page}?state=late&q=web&cols=request,held&export=csv")
    assert exported == [{"request": id_text(late.request_id), "held_usd": "3.00"}]


def test_holds_are_paged_to_the_last(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(key, 100 * USD)
    now = clock.now()
    for n in range(30):
        admit(key, now + dt.timedelta(seconds=n), hold_nano=n % 3 + 1, model=f"m-{n:02}")
    alice, page = cast.signed_in(people.alice), "/o/acme/billing/holds?cols=model&rows=25"
    for sort in ("model", "-model", "held,-model", "state,-since"):
        first = alice.get(f"{page}&sort={sort}").content.decode()
        (rest,) = re.findall(r'rel="next"\s+href="([^"]+)"', first)
        rows = rows_of(alice, f"{page}&sort={sort}")
        rows += rows_of(alice, f"/o/acme/billing/holds{html.unescape(rest)}")
        assert sorted(rows) == [f"m-{n:02}" for n in range(30)]
        if sort.endswith("model"):
            exported = file_of(alice, f"{page}&sort={sort}&export=csv")
            assert [row["model"] for row in exported] == rows
    assert rows_of(alice, f"{page}&q=M-07") == ["m-07"]
    assert rows_of(alice, f"{page}&state=late") == []


def test_transfers_by_page(people: cast.Cast, settings: LazySettings) -> None:
    alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
    answer = alice.post("/o/acme/billing/top-up", {"amount": "100", "processor": "manual"})
    page = text_of(alice.get(answer["Location"]))
    id = id_text(TopUp.objects.get().id)
    assert id in page
    assert "Transfer the amount with this reference" in page
    assert "Ask an operator for the bank account" in page
    settings.BANK_ACCOUNT = "Weir Ltd | IBAN DE02 1203 0000 0000 2020 51"
    text = alice.get(answer["Location"]).content.decode()
    assert "Weir Ltd\nIBAN DE02 1203 0000 0000 2020 51</code>" in text
    dora.post(f"/admin/payments/{id}/confirm", {"document": ""})
    assert balance(people.acme).available_nano == 0
    dora.post(f"/admin/payments/{id}/confirm", {"document": "BANK-1"})
    assert balance(people.acme).available_nano == 100 * USD
    assert "$100.00 was added" in text_of(alice.get(answer["Location"]))
