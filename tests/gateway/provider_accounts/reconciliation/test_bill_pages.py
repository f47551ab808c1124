"""Providers' bills on the pages of operators: what is open, of which bill, by how much (W79)."""

import datetime as dt
import html
import re
from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.access.actors import SYSTEM
from gateway.channels.channels import create_channel
from gateway.provider_accounts.reconciliation.bill_forms import BillForm
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of
from usage.models import BillDifference, BillMapping, ProviderBill

pytestmark = pytest.mark.django_db

URL = "/admin/reconcile"
DAY = dt.date(2026, 11, 3)


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def make_bill(people: Cast, provider: str, file: str, open: int = 0, settled: int = 0) -> str:
    """A bill of which we recorded less, with as many differences; its address."""
    bill = ProviderBill.objects.create(
        provider=provider, file_name=file, match="day", first_on=DAY, last_on=DAY, channel_ids=[],
        tolerance_nano=0, lines=7, billed_nano=9 * 10**9, ours_nano=4 * 10**9,
        created_by=people.dora,
    )  # fmt: skip
    for n in range(1, open + settled + 1):
        over: dict[str, Any] = {}
        if n > open:
            over = {"settled_at": clock.now(), "settled_by": people.dora, "note": "known"}
        BillDifference.objects.create(
            bill=bill, n=n, kind="differs", day=DAY, model=f"m-{n}", billed_nano=5 * 10**9,
            ours_nano=2 * 10**9, **over,
        )  # fmt: skip
    return f"{URL}/{id_text(bill.id)}"


def models(client: Client, address: str) -> list[str]:
    return [row["model"] for row in file_of(client, f"{address}&export=csv&cols=model")]


def test_bill_counts_what_is_open_and_its_list_is_filtered_by_state(
    people: Cast, dora: Client
) -> None:
    make_bill(people, "anthropic", "other.csv", open=4)
    bill = make_bill(people, "openai", "one.csv", open=2, settled=1)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", dora.get(bill).content.decode()))
    assert "Open 2 of 3 differences" in page
    assert models(dora, f"{bill}?state=open") == ["m-1", "m-2"]
    assert models(dora, f"{bill}?state=settled") == ["m-3"]
    api = bill.replace(URL, "/api/v1/provider-bills")
    told = dora.get(api).json()
    assert (told["differences"], told["open"], told["created_by"]) == (3, 2, "dora@example.org")
    for state, listed in (("open", ["m-1", "m-2"]), ("settled", ["m-3"])):
        items = dora.get(f"{api}/differences?state={state}").json()["items"]
        assert [item["model"] for item in items] == listed
    (only,) = dora.get("/api/v1/provider-bills?provider=anthropic").json()["items"]
    assert only["file"] == "other.csv"


def test_difference_is_what_the_provider_billed_beyond_our_records(
    people: Cast, dora: Client
) -> None:
    bill = make_bill(people, "openai", "one.csv", open=1)
    (row,) = file_of(dora, f"{bill}?export=csv&cols=billed,ours,difference")
    assert [float(value) for value in row.values()] == [5, 2, 3]
    assert "$3" in dora.get(f"{bill}/1").content.decode()


def test_bills_are_found_by_provider_and_by_file(people: Cast, dora: Client) -> None:
    for provider, file in (("openai", "october.csv"), ("mistral", "november.csv")):
        make_bill(people, provider, file)
    for text, found in (("OPEN", ["openai"]), ("november", ["mistral"]), ("csv", 2), ("x-y", 0)):
        rows = file_of(dora, f"{URL}?q={text}&export=csv&cols=provider")
        names = [row["provider"] for row in rows]
        assert (names if isinstance(found, list) else len(names)) == found


def test_difference_is_settled_with_its_note_and_opened_again(people: Cast, dora: Client) -> None:
    bill = make_bill(people, "openai", "one.csv", open=2)
    empty = dora.post(f"{bill}/2/settle", {"note": ""})
    assert empty.status_code == 422
    settled = dora.post(f"{bill}/2/settle", {"note": "A refund"})
    assert (settled.status_code, settled["Location"]) == (303, bill)
    states = dict(BillDifference.objects.values_list("n", "settled_by__email"))
    assert states == {1: None, 2: "dora@example.org"}
    assert "A refund" in dora.get(f"{bill}/2").content.decode()
    dora.post(f"{bill}/2/reopen")
    again = BillDifference.objects.get(n=2)
    assert (again.settled_at, again.note) == (None, "A refund")
    form = dora.get(f"{bill}/2").content.decode()
    assert re.search(r"<textarea[^>]*>\s*A refund\s*</textarea>", form)


def test_new_bill_begins_as_the_last_one_of_the_provider(people: Cast, dora: Client) -> None:
    """Its columns and tolerance are kept, and its channels are chosen."""
    own = create_channel(SYSTEM, "own", {"provider": "openai"})
    create_channel(SYSTEM, "other", {"provider": "mistral"})
    BillMapping.objects.create(
        provider="openai", match="request", request_column="Rid", amount_column="Cost",
        tolerance_nano=250_000_000,
    )  # fmt: skip
    page = dora.get(f"{URL}/new?provider=openai").content.decode()
    ticked = re.findall(r'<input[^>]*name="channels"[^>]*>', page)
    assert [id_text(own.id) in one for one in ticked if "checked" in one] == [True]
    for name, value in (("request_column", "Rid"), ("amount_column", "Cost")):
        assert re.search(
            rf'name="{name}"[^>]*value="{value}"|value="{value}"[^>]*name="{name}"', page
        )
    assert re.search(r'value="0\.25"', html.unescape(page))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, set()),
        ({"tolerance": "0"}, set()),
        ({"tolerance": "-0.01"}, {"tolerance"}),
        ({"day_column": ""}, {"day_column"}),
        ({"model_column": ""}, {"model_column"}),
        ({"match": "request"}, {"request_column"}),
        (
            {"match": "request", "request_column": "Rid", "day_column": "", "model_column": ""},
            set(),
        ),
    ],
)
def test_bill_needs_the_columns_of_its_comparison(
    people: Cast, change: dict[str, str], wrong: set[str]
) -> None:
    channel = create_channel(SYSTEM, "own", {"provider": "openai"})
    sent = {
        "provider": "openai", "channels": [id_text(channel.id)], "first_on": "2026-11-03",
        "last_on": "2026-11-03", "match": "day", "day_column": "Day", "model_column": "Model",
        "amount_column": "Cost", "tolerance": "0.01", **change,
    }  # fmt: skip
    file = SimpleUploadedFile("b.csv", BytesIO(b"Day,Model,Cost\n").read())
    form = BillForm([channel], sent, {"file": file})
    assert set(form.errors) == wrong
