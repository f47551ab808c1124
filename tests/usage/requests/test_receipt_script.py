"""A receipt can be computed again without this product, to the same nano (I10): its JSON and the
script that is given with it, run as strangers run it."""

import datetime as dt
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import Key
from billing.holds import usage_corrections
from billing.models import PriceVersion as StoredVersion
from billing.prices import meters
from billing.prices.pricing import CostLines, PriceVersion, price
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.usage.overview.test_api import get, management
from tests.usage.rows import RATES, admit, happen, price_version
from usage.models import SettleAs, UsageRecord
from usage.records.outcomes import UNCHARGED
from usage.requests.receipts import RECEIPT_FORMAT
from usage.reviews import reviews

SCRIPT = Path(settings.BASE_DIR) / "static" / "recompute_receipt.py"
LONG = {"in_text": 250_000, "in_cache_read": 100_001, "out_text": 3, "out_reasoning": 7}
TIERED: dict[str, Any] = {
    "meters": {"in_text": 1_250_000_001, "out_text": 10_000_000_003, "requests": 40 * 10**12},
    "tiers": [
        {"input_over": 200_000, "mode": "whole", "meters": {"in_text": 2_500_000_007}},
        {"input_over": 300_000, "mode": "whole", "meters": {"out_text": 15_000_000_001}},
    ],
}
MARGINAL = {
    **TIERED,
    "tiers": [{**tier, "mode": "marginal"} for tier in TIERED["tiers"]],
}


def computed(receipt: Any) -> tuple[int, str]:
    """The script's exit status and what it says."""
    ran = subprocess.run(
        [sys.executable, "-I", str(SCRIPT)],
        input=json.dumps(receipt),
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def paid(key: Key, rates: dict[str, Any], used: dict[str, int], **over: Any) -> UsageRecord:
    """A request charged as the books price it."""
    multiplier_ppm = over.pop("multiplier_ppm", 1_000_000)
    version = price_version(id_text(new_id()), rates)
    cost = price(used, PriceVersion.from_stored(rates).multiplied(multiplier_ppm))
    assert isinstance(cost, CostLines)
    charge_nano = min(cost.total_nano, over.get("hold_nano", 10**12))
    return happen(
        key,
        meters=used,
        price_version_id=version.id,
        **{"charge_nano": charge_nano, "hold_nano": 10**12, **over},
        multiplier_ppm=multiplier_ppm,
    )


def served_again(key: Key, *, charge_nano: int, price_percent: int, nano: int) -> UsageRecord:
    """A request that a stored answer served."""
    cached = {"request": "r", "charge_nano": charge_nano, "price_percent": price_percent}
    return happen(
        key, channel_id=None, meters={}, price_version_id=None, basis="cached", hold_nano=nano,
        charge_nano=nano, cost_nano=0, pricing={"cached": cached},
    )  # fmt: skip


def test_a_stored_answer_is_told_on_receipt_and_pages(people: cast.Cast, key: Key) -> None:
    record = served_again(key, charge_nano=210_001, price_percent=50, nano=105_000)
    rid = id_text(record.request_id)
    receipt = get(management(people), f"requests/{rid}/receipt")
    assert receipt["cached"] == {"request": "r", "charge": "0.000210001", "price_percent": 50}
    assert computed({**receipt, "cached": {**receipt["cached"], "price_percent": 51}})[0] == 1
    for reader in (people.alice, people.dora):
        page = cast.signed_in(reader).get(f"/o/acme/requests/{rid}").content.decode()
        assert "served from cache" in page
        assert "Answer of request r" in page
        assert "Provider A" not in page


def test_script_computes_every_charge(people: cast.Cast, key: Key) -> None:
    client = management(people)
    cached = {"in_text": 7, "in_cache_read": 1001, "in_cache_write_5m": 3, "out_reasoning": 1}
    records = [
        paid(key, RATES, {"in_text": 1000, "out_text": 100}),
        paid(key, RATES, cached, model="gpt-5"),
        paid(key, RATES, cached, multiplier_ppm=1_070_001),
        paid(key, {"meters": {"in_text": 37_500_000}}, {"in_text": 1}),
        paid(key, TIERED, {**LONG, "requests": 1}),
        paid(key, TIERED, {"in_text": 200_000, "out_text": 1}),
        paid(key, MARGINAL, {**LONG, "requests": 1}, multiplier_ppm=333_333),
        paid(key, {"meters": {"images[1024]": 40 * 10**12}}, {"images[1024]": 3}),
        paid(key, RATES, {"in_text": 1000}, hold_nano=100),
        paid(key, RATES, {"in_text": 1000}, charge_nano=0, basis="absorbed"),
        happen(key, charge_nano=0, basis="free"),
        served_again(key, charge_nano=210_001, price_percent=50, nano=105_000),
        served_again(key, charge_nano=210_001, price_percent=0, nano=0),
    ]
    for record in records:
        receipt = get(client, f"requests/{id_text(record.request_id)}/receipt")
        status, text = computed(receipt)
        assert (status, text.partition(":")[0]) == (0, "equal"), (receipt, text)
        nano = f"{record.charge_nano // 10**9}.{record.charge_nano % 10**9:09}"
        assert f"charged {nano.rstrip('0').rstrip('.')} USD" in text


def test_later_corrections_are_in_the_receipt(people: cast.Cast, key: Key) -> None:
    """I7: a receipt ends at what the customer pays by the ledger, and so does the page."""
    used = {"in_text": 1000, "out_text": 100}
    record = paid(key, RATES, used, flags=["quarantine"], basis="estimated")
    reviews.settle_review(
        cast.actor(people.dora), record.request_id, SettleAs("amount"), amount_nano=150_000,
        reason="Asked the provider",
    )  # fmt: skip
    rid = id_text(record.request_id)
    receipt = get(management(people), f"requests/{rid}/receipt")
    assert (receipt["charge"], receipt["paid"]) == ("0.00021", "0.00015")
    assert [one["amount"] for one in receipt["corrections"]] == ["-0.00006"]
    assert computed(receipt)[0] == 0
    assert "corrected since, to 0.00015 USD" in computed(receipt)[1]
    assert computed({**receipt, "paid": receipt["charge"]})[0] == 1
    page = cast.signed_in(people.alice).get(f"/o/acme/requests/{rid}").content.decode()
    assert "$0.00015" in page
    assert "reserved → $0.00021 charged." in page
    assert "\N{MINUS SIGN}$0.00006" in page


def test_receipt_on_the_page_ends_with_what_is_paid_after_each_correction(
    people: cast.Cast, key: Key
) -> None:
    record = paid(key, RATES, {"in_text": 1000, "out_text": 100})
    for source, nano in (("late", 150_000), ("look_up", 180_000)):
        with transaction.atomic():
            usage_corrections.lock_wallet(people.acme.id)
            stand = usage_corrections.read_borne_cost(record.id)
            wanted = stand._replace(customer_nano=nano)
            usage_corrections.correct(record.id, people.acme.id, source, stand, wanted, cause={})
    path = f"/o/acme/requests/{id_text(record.request_id)}"
    page = cast.signed_in(people.alice).get(path).content.decode()
    foot = page.partition('id="receipt-title"')[2].partition("<tfoot>")[2].partition("</tfoot>")[0]
    assert re.findall(r'"title">\s*(.*?)\s*</th>.*?"money">(.*?)</td>', foot, re.S) == [
        ("Charged", "$0.00021"),
        ("Corrected later", "\N{MINUS SIGN}$0.00006"),
        ("Corrected later", "$0.00003"),
        ("Paid", "$0.00018"),
    ]


def test_receipt_names_the_time_in_which_its_price_applied(people: cast.Cast, key: Key) -> None:
    record = paid(key, RATES, {"in_text": 1000})
    version = StoredVersion.objects.get(id=record.price_version_id or 0)
    client = management(people)
    for valid_to in (None, version.valid_from + dt.timedelta(days=700)):
        StoredVersion.objects.filter(id=version.id).update(valid_to=valid_to)
        price = get(client, f"requests/{id_text(record.request_id)}/receipt")["price"]
        assert price["valid_from"] == clock.rfc3339(version.valid_from)
        assert price["valid_to"] == (valid_to and clock.rfc3339(valid_to))


def test_the_script_names_what_was_changed(people: cast.Cast, key: Key) -> None:
    record = paid(key, TIERED, LONG, multiplier_ppm=1_070_000)
    receipt = get(management(people), f"requests/{id_text(record.request_id)}/receipt")
    assert computed(receipt)[0] == 0

    def says(names: set[str], **changed: Any) -> None:
        status, text = computed({**receipt, **changed})
        assert status == 1
        assert {line.partition(":")[0] for line in text.splitlines()} == names

    says({"charge"}, charge="0.01")
    says({"rounding"}, rounding="0.1")
    says({"above_hold", "charge", "paid"}, held="0.0000001")
    says({"waived", "charge", "paid"}, basis="free")
    first, *others = receipt["lines"]
    says({"lines[0].amount"}, lines=[{**first, "amount": "1"}, *others])
    says({"lines[0].quantity"}, lines=[{**first, "quantity": 1}, *others])
    says({f"lines[3].{name}" for name in ("meter", "quantity", "rate", "per", "amount")},
         lines=receipt["lines"][:3])  # fmt: skip
    status, text = computed({**receipt, "meters": {**LONG, "in_text": 250_001}})
    assert (status, "lines[0].quantity" in text, "\ncharge: " in text) == (1, True, True)
    status, text = computed({**receipt, "meters": {**LONG, "pages": 1}})
    assert (status, text.split()[0]) == (1, "pages")
    assert computed({"object": "list"})[0] == 2


def test_a_receipt_is_refused_while_the_request_runs(people: cast.Cast, key: Key) -> None:
    attempt = admit(key)
    get(management(people), f"requests/{id_text(attempt.request_id)}/receipt", 409)


def test_malformed_receipt_is_explained() -> None:
    cause = "this is no receipt that can be read: "
    assert computed({"error": {"message": "It runs."}}) == (2, f"{cause}It runs.\n")
    assert computed({}) == (2, f"{cause}it has no 'format'\n")
    ran = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "none.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == f"{cause}[Errno 2] No such file or directory: 'none.json'\n"


def test_the_page_gives_both_files(people: cast.Cast, key: Key) -> None:
    record = paid(key, RATES, {"in_text": 1000, "out_text": 100})
    alice, path = cast.signed_in(people.alice), f"/o/acme/requests/{id_text(record.request_id)}"
    page = alice.get(path).content.decode()
    assert f'href="{path}/receipt.json"' in page
    assert "recompute_receipt" in page
    file = alice.get(f"{path}/receipt.json")
    assert file["Content-Disposition"].startswith("attachment")
    assert computed(file.json())[0] == 0
    assert alice.get("/o/acme/requests/none/receipt.json").status_code == 404


def test_page_shows_the_price_multiplier(people: cast.Cast, key: Key) -> None:
    """Rate, multiplier and amount of each line are there, by which it can be computed."""
    record = paid(key, RATES, {"in_text": 1000, "out_text": 100}, multiplier_ppm=800_000)
    alice, path = cast.signed_in(people.alice), f"/o/acme/requests/{id_text(record.request_id)}"
    page = alice.get(path).content.decode()
    assert "times 0.8, from the plan or subscription" in page
    assert page.count(" × 0.8</td>") == 2
    plain = paid(key, RATES, {"in_text": 1000, "out_text": 100})
    page = alice.get(f"/o/acme/requests/{id_text(plain.request_id)}").content.decode()
    assert ("times" in page, " × " in page) == (False, False)


def test_the_script_knows_the_meters() -> None:
    known = runpy.run_path(str(SCRIPT))
    assert known["FALLBACKS"] == meters.FALLBACKS
    assert tuple(known["INPUT"]) == meters.INPUT_TOKEN_METERS
    assert known["FORMAT"] == RECEIPT_FORMAT
    assert frozenset(known["UNCHARGED"]) == UNCHARGED
