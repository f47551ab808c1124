"""The pages of prices as people use them: operators set them, everybody reads their own."""

import csv
import datetime as dt
import html
import io
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import AuditEvent, Membership, Role
from billing.approvals.approvals import decide, waiting
from billing.balances.balances import add_opening_credit
from billing.models import MemberPlan, Plan, PriceProposal
from billing.price_plans.price_plans import (
    PLAN,
    PlanInForce,
    SecondPersonNeeded,
    assign_plan,
    price_plan_in_force,
    price_plan_of,
    remove_plan,
    save_plan,
)
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.conditions import PriceKey
from billing.prices.meters import METERS
from billing.prices.prices import CATALOGUE, list_prices, load_catalogue, set_price
from billing.prices.proposals import PRICE, draft_price, propose_catalogue
from gateway.models import Channel, PricePreview, Route
from gateway.prices.previews import work_off
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member, person, signed_in, with_key
from tests.support.markup import squeezed
from tests.usage.rows import happen

pytestmark = pytest.mark.django_db

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RATES: dict[str, Any] = {
    "meters": {"in_text": 150_000_000, "out_text": 600_000_000, "searches": 10**13},
    "tiers": [{"input_over": 200_000, "mode": "whole", "meters": {"in_text": 300_000_000}}],
}


@pytest.fixture
def served(people: Cast) -> Cast:
    channel = Channel.objects.create(name="east", provider="openai", base_url="https://a.example")
    for name in ("gpt-4o", "m-*", "free"):
        Route.objects.create(channel=channel, model=name)
    set_price(SYSTEM, "gpt-4o", SINCE, RATES, source="file")
    set_price(SYSTEM, "m-1", SINCE, {"meters": {"in_text": 1, "out_text": 1}}, source="file")
    return people


def text_of(client: Client, address: str, **query: str) -> str:
    response = client.get(address, query)
    assert response.status_code == 200
    # A span is inside of a word where a number stands in line by its point.
    page = re.sub(r"</?span[^>]*>", "", response.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def rows_of_table(client: Client, address: str) -> list[str]:
    """The texts of the rows of a page's only table."""
    page = squeezed(client.get(address).content.decode())
    (body,) = re.findall(r"<tbody>(.*?)</tbody>", page)
    rows = (re.sub(r"<[^>]+>", " ", row) for row in body.split("</tr>")[:-1])
    return [" ".join(html.unescape(row).split()) for row in rows]


def post(client: Client, address: str, /, *args: object, **data: Any) -> Any:
    return client.post(reverse(address, args=args), data)


def test_every_role_reads_its_own_price_book_and_no_other(served: Cast) -> None:
    mine, theirs = (
        reverse("organisation_prices", args=[o.slug]) for o in (served.acme, served.stranger)
    )
    for role in (Role.ADMIN, Role.BILLING, Role.VIEWER):
        someone = signed_in(member(served.acme, role.value, role))
        assert "gpt-4o" in text_of(someone, mine)
        assert someone.get(theirs).status_code == 404
    assert "gpt-4o" in text_of(signed_in(served.bob), mine)


def test_the_book_shows_the_plans_rates_and_only_its_models(served: Cast) -> None:
    save_plan(SYSTEM, "retail", multiplier_ppm=1_070_000, models=["gpt-*"])
    assign_plan(SYSTEM, served.acme, "retail")
    page = text_of(signed_in(served.bob), reverse("organisation_prices", args=[served.acme.slug]))
    assert "$0.1605" in page
    assert "$0.0107 / search" in page
    assert "above 200,000" in page
    assert "m-1" not in page
    assert "retail" in page


def test_as_of_yesterday_and_tomorrow_differ_as_published(served: Cast) -> None:
    later = clock.now() + dt.timedelta(days=3)
    set_price(SYSTEM, "gpt-4o", later, {"meters": {"in_text": 200_000_000}}, source="file")
    client = signed_in(served.bob)
    address = reverse("organisation_prices", args=[served.acme.slug])
    now = text_of(client, address)
    assert "$0.20 / 1M" in now.split("Upcoming changes")[1]
    assert "$0.15" in now
    after = text_of(client, address, asof=(later + dt.timedelta(days=2)).date().isoformat())
    assert "$0.20" in after.split("Upcoming changes")[0]
    assert "$0.15" not in after
    before = text_of(client, address, asof="2025-06-01")
    assert "Nothing matches these filters" in before
    assert "$0.15" not in before


def test_the_calculator_gives_the_exact_charge(served: Cast) -> None:
    page = text_of(
        signed_in(served.bob),
        reverse("organisation_prices", args=[served.acme.slug]),
        m="gpt-4o",
        in_text="12,000",
        out_text="800",
    )
    # 12,000 × 150 + 800 × 600 nano
    assert "$0.00228" in page
    assert "12,000 × $0.15 / 1M" in page


def test_the_csv_has_every_rate_exactly_and_no_formula(served: Cast) -> None:
    set_price(SYSTEM, "m-=1", SINCE, {"meters": {"in_text": 5}}, source="file")
    Route.objects.create(channel=Channel.objects.get(), model="=cmd")
    set_price(SYSTEM, "=cmd", SINCE, {"meters": {"in_text": 5}}, source="file")
    response = signed_in(served.bob).get(
        reverse("organisation_prices_csv", args=[served.acme.slug])
    )
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    tier = next(row for row in rows if row["input_over"] == "200000")
    assert (tier["model"], tier["rate_usd"], tier["tier_mode"]) == ("gpt-4o", "0.3", "whole")
    assert {row["model"] for row in rows} == {"gpt-4o", "m-1", "m-=1", "'=cmd"}
    assert next(row for row in rows if row["meter"] == "searches")["rate_usd"] == "0.01"
    # Every meter that is charged has a row, where its rate is another one's too.
    by_meter = {(row["model"], row["meter"], row["input_over"]): row["rate_usd"] for row in rows}
    cached = {key for key in by_meter if key[1] == "in_cache_read"}
    assert {key[0] for key in cached} == {row["model"] for row in rows if row["meter"] == "in_text"}
    assert by_meter["'=cmd", "in_cache_read", ""] == by_meter["'=cmd", "in_text", ""]


def draft_fields(**over: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4o", "kind": "charge", "channel": "", "service_tier": "", "hours": "",
        "meter": ["in_text", "out_text", "in_text", "in_text"],
        "over": ["", "", "1000", ""], "rate": ["0.2", "0.6", "0.4", ""],
        "mode": "marginal", "valid_from": "", "note": "", **over,
    }  # fmt: skip


def test_a_price_is_written_previewed_and_published(served: Cast) -> None:
    client = signed_in(served.dora)
    sent = post(client, "price_draft", **draft_fields(model="gpt-\x004o", note="\x00"))
    assert sent.status_code == 303
    draft = PriceProposal.objects.get()
    assert draft.rates == {
        "meters": {"in_text": 200_000_000, "out_text": 600_000_000},
        "tiers": [{"input_over": 1000, "mode": "marginal", "meters": {"in_text": 400_000_000}}],
    }
    page = text_of(client, sent["location"])
    assert "$0.15 / 1M $0.20 / 1M +33.3%" in page
    id = sent["location"].rsplit("/")[-1]
    previewed = post(client, "price_decide", id=[id], act="preview")
    assert "Waiting for a worker" in text_of(client, previewed["location"])
    work_off()
    assert "No usage in this period" in text_of(client, previewed["location"])
    # The search that ended needs another operator.
    response = post(client, "price_decide", id=[id], back="/", act="accept")
    assert (response.status_code, response["location"]) == (303, sent["location"])
    assert waiting(PRICE, id) is not None
    eve = signed_in(person("eve", operator=True))
    post(eve, "price_decide", id=[id], act="accept")
    assert list_prices(["gpt-4o"])[-1].rates == draft.rates
    assert list_prices(["gpt-4o"])[-1].source == "page"


def drafted(client: Client, **over: Any) -> str:
    """Save a draft that needs no second person; its id."""
    sent = {"meter": ["in_text"], "over": [""], "model": "m-1", **over}
    response = post(client, "price_draft", **draft_fields(**sent))
    assert response.status_code == 303, response.content
    return str(response["location"].rsplit("/")[-1])


def test_publishing_states_when_the_price_starts(served: Cast) -> None:
    client, address = signed_in(served.dora), reverse("price_proposals")
    set_price(SYSTEM, "m-2", SINCE, {"meters": {"in_text": 1}}, source="file")
    for begins, message in (
        ("2999-03-01T00:00", "The price of m-2 takes effect on 1 Mar 2999, 00:00 UTC."),
        ("", "Published. 1 change is now in effect."),
    ):
        id = drafted(client, model="m-2", rate=["0.2"], valid_from=begins)
        post(client, "price_decide", id=[id], back=id, act="accept")
        assert message in text_of(client, address)


def test_a_publish_names_what_is_planned_and_asks(served: Cast) -> None:
    """W73: the later version stays; one of the same moment is replaced only when it was seen."""
    client = signed_in(served.dora)
    set_price(SYSTEM, "m-2", SINCE, {"meters": {"in_text": 1}}, source="file")
    march = "2999-03-01T00:00"
    id = drafted(client, model="m-2", rate=["0.2"], valid_from=march)
    post(client, "price_decide", id=[id], back=id, act="accept")
    planned = list_prices(["m-2"])[-1].version_id
    id = drafted(client, model="m-2", rate=["0.3"], valid_from="2999-02-01T00:00")
    page = text_of(client, reverse("price_proposal", args=[id]))
    assert f"until version #{planned} takes effect on 1 Mar 2999, 00:00 UTC" in page
    id = drafted(client, model="m-2", rate=["0.4"], valid_from=march)
    page = text_of(client, reverse("price_proposal", args=[id]))
    assert f"Version #{planned} (1 Mar 2999, 00:00 → open-ended) is scheduled for the same" in page
    refused = post(client, "price_decide", id=[id], back=id, act="accept")
    assert refused.status_code == 422
    assert f"the same time as scheduled version #{planned}" in refused.content.decode()
    assert list_prices(["m-2"])[-1].version_id == planned
    post(client, "price_decide", id=[id], back=id, act="accept", replacing=str(planned))
    assert [one.rates["meters"]["in_text"] for one in list_prices(["m-2"])] == [1, 400_000_000]


def test_a_planned_version_is_withdrawn_on_its_page(served: Cast) -> None:
    """W73: asked once more, and only for what has not begun."""
    client = signed_in(served.dora)
    set_price(SYSTEM, "m-2", SINCE, {"meters": {"in_text": 1}}, source="file")
    id = drafted(client, model="m-2", rate=["0.2"], valid_from="2999-03-01T00:00")
    post(client, "price_decide", id=[id], back=id, act="accept")
    former, version = list_prices(["m-2"])
    page = client.get(reverse("price", args=[version.price_id])).content.decode()
    address = reverse("price_withdraw", args=[version.version_id])
    assert address in page
    assert reverse("price_withdraw", args=[former.version_id]) not in page
    assert f"Withdraw version #{version.version_id}" in text_of(client, address)
    assert len(list_prices(["m-2"])) == 2
    sent = post(client, "price_withdraw", version.version_id)
    assert sent["location"] == reverse("price", args=[version.price_id])
    assert f"Version #{version.version_id} of m-2 was withdrawn." in text_of(
        client, sent["location"]
    )
    (left,) = list_prices(["m-2"])
    assert (left.version_id, left.valid_to) == (former.version_id, None)
    refused = post(client, "price_withdraw", former.version_id)
    assert "has started or is about to" in text_of(client, refused["location"])
    assert list_prices(["m-2"]) == [left]


def test_each_version_of_a_price_shows_from_when_until_when_it_holds(served: Cast) -> None:
    begin = ("1970-01-01T00:00Z", "2025-11-07T16:30Z", "2026-01-01T00:00Z", "2999-03-02T04:15Z")
    for n, at in enumerate(map(dt.datetime.fromisoformat, begin), 2):
        rates = {"meters": {"in_text": n * 100_000_000}}
        set_price(SYSTEM, "m-2", at, rates, source=f"file-{n}")
    versions = list_prices(["m-2"])
    first, second, third, fourth = (version.version_id for version in versions)
    page = text_of(signed_in(served.dora), reverse("price", args=[versions[0].price_id]))
    shown = re.findall(
        r"(Ended|Active|Scheduled) (\S[^→]*?) → (.*?) ?#(\d+) · (\S+) Input (\S+) / 1M", page
    )
    assert shown == [
        ("Scheduled", "2 Mar 2999, 04:15", "open-ended", str(fourth), "file-5", "$0.50"),
        ("Active", "1 Jan 2026, 00:00", "2 Mar 2999, 04:15", str(third), "file-4", "$0.40"),
        ("Ended", "7 Nov 2025, 16:30", "1 Jan 2026, 00:00", str(second), "file-3", "$0.30"),
        ("Ended", "always", "7 Nov 2025, 16:30", str(first), "file-2", "$0.20"),
    ]


def test_the_only_version_of_a_price_is_withdrawn_too(served: Cast) -> None:
    client = signed_in(served.dora)
    later = clock.now() + dt.timedelta(days=3)
    version = set_price(SYSTEM, "m-3", later, {"meters": {"in_text": 1}}, source="file")
    sent = post(client, "price_withdraw", version.id)
    assert sent["location"] == reverse("prices")
    assert list_prices(["m-3"]) == []


def test_draft_with_a_past_start_is_not_published(
    served: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, at = signed_in(served.dora), clock.now() + dt.timedelta(hours=2)
    id = drafted(client, rate=["0.2"], valid_from=(at.isoformat())[:16])
    monkeypatch.setattr(clock, "now", lambda: at)
    # An operator's session does not last so long without use.
    client = signed_in(served.dora)
    refused = post(client, "price_decide", id=[id], back=id, act="accept")
    assert refused.status_code == 422
    assert "cannot start in the past" in refused.content.decode()
    assert PriceProposal.objects.get().state == "open"


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"rate": ["0.2", "-1", "", ""]}, "Enter a rate of 0 or more"),
        ({"over": ["x", "", "", ""]}, "threshold must be a whole number"),
        ({"meter": ["in_text", "in_text", "in_text", "in_text"]}, "is listed twice"),
        ({"rate": ["", "", "", ""]}, "Enter at least one rate"),
        ({"model": ""}, "Enter a model name"),
        ({"hours": "noon"}, "Enter hours in UTC such as 16:30-00:30"),
        ({"channel": "east"}, "Only costs are set by channel"),
        ({"valid_from": "soon"}, "must be a date and time"),
        ({"valid_from": "2026-03-01T00:00"}, "cannot start in the past"),
    ],
)
def test_unchargeable_input_is_reported_and_stays_typed(
    served: Cast, over: dict[str, Any], text: str
) -> None:
    response = post(signed_in(served.dora), "price_draft", **draft_fields(**over))
    assert response.status_code == 422
    assert text in response.content.decode()
    assert 'value="0.2"' in response.content.decode() or over.get("rate") == ["", "", "", ""]
    assert not PriceProposal.objects.exists()


@pytest.mark.parametrize(("what", "field"), [("meter", "rate"), ("condition", "condition_number")])
def test_an_added_row_keeps_what_was_typed(served: Cast, what: str, field: str) -> None:
    client = signed_in(served.dora)
    before = client.get(reverse("price_new")).content.decode()
    html = post(client, "price_draft", **draft_fields(more=what)).content.decode()
    typed = len(draft_fields()["rate"]) if what == "meter" else 0
    assert html.count(f'name="{field}"') == typed + 1
    assert 'value="0.4"' in html
    assert before.count('name="rate"') == 3
    assert 'name="condition_number"' not in before
    assert "Save and review" in before


def test_meters_are_offered_by_group_in_human_units(served: Cast) -> None:
    """Every meter once; nobody has to know in which unit it is counted."""
    client = signed_in(served.dora)
    html = post(client, "price_draft", **draft_fields(more="meter")).content.decode()
    (select,) = re.findall(r'<select[^>]*name="meter".*?</select>', html, re.S)
    options = dict(re.findall(r'<option value="([^"]+)"\s*>\s*(.*?)\s*</option>', select, re.S))
    assert options.keys() == METERS.keys()
    assert not [text for text in options.values() if "ms" in text.split() or "illion" in text]
    assert options["audio_ms"] == "Audio · per minute"
    assert options["video_ms"] == "Video · per second"
    assert options["images"] == "Images · per image"
    assert options["session_minutes"] == "Session time · per minute"
    assert select.count("<optgroup") == 6


def test_a_draft_leads_to_its_review_where_it_is_published(served: Cast) -> None:
    client = signed_in(served.dora)
    fields = {"meter": ["audio_ms", "video_ms"], "rate": ["0.006", "0.1"], "over": ["", ""]}
    saved = post(client, "price_draft", **draft_fields(**fields))
    draft = PriceProposal.objects.latest("id")
    assert saved["Location"] == reverse("price_proposal", args=[id_text(draft.id)])
    meters = {"audio_ms": 100_000_000, "video_ms": 100_000_000_000}
    assert draft.rates is not None
    assert draft.rates["meters"] == meters
    review = text_of(client, saved["Location"])
    assert "Publish it to put it into effect." in review
    for text in ("Audio", "$0.006 / min", "Video", "$0.10 / s"):
        assert text in review
    fields = {"meter": ["audio_ms"], "rate": ["0.0043"], "over": [""]}
    refused = post(client, "price_draft", **draft_fields(**fields))
    assert refused.status_code == 422
    assert "The nearest exact price is 0.00430000002." in refused.content.decode()


def test_a_draft_says_of_each_rate_how_it_changes_begins_or_ends(served: Cast) -> None:
    """Raised, lowered, new, ended and no longer free, each with what it was and would be."""
    former = {
        "meters": {
            "in_text": 200_000_000, "out_text": 800_000_000, "searches": 3 * 10**13,
            "in_cache_read": 0,
        }
    }  # fmt: skip
    set_price(SYSTEM, "m-2", SINCE, former, source="file")
    client = signed_in(served.dora)
    sent = draft_fields(
        model="m-2", meter=["in_text", "out_text", "requests", "in_text", "in_cache_read"],
        over=["", "", "", "1000", ""], rate=["0.25", "0.7", "0.05", "0.45", "0.15"],
    )  # fmt: skip
    review = post(client, "price_draft", **sent)["location"]
    assert rows_of_table(client, review) == [
        "Input $0.20 / 1M $0.25 / 1M +25.0%",
        "Cached input $0.00 / 1M $0.15 / 1M –",
        "Output $0.80 / 1M $0.70 / 1M \N{MINUS SIGN}12.5%",
        "Web searches $0.03 / search – ends",
        "Requests – $0.05 / request new",
        "Input above 1,000 input tokens – $0.45 / 1M new",
    ]


def test_proposals_of_a_catalogue_are_accepted_one_by_one_or_all(served: Cast) -> None:
    def row(model: str, rate: int) -> CatalogueRow:
        return CatalogueRow(model, None, "p", SINCE, None, {"meters": {"in_text": rate}})

    for edition, *rates in ((1, 100, 100, 100), (2, 120, 90, 10)):
        rows = [row(name, rate) for name, rate in zip(("one", "two", "six"), rates, strict=True)]
        load = load_catalogue if edition == 1 else propose_catalogue
        load(SYSTEM, rows, f"{CATALOGUE} {edition}")
    client = signed_in(served.dora)
    page = text_of(client, reverse("price_proposals"))
    assert "Input: $0.0000001 / 1M → $0.00000012 / 1M" in page
    assert "+20.0%" in page
    assert page.count("Two operators") == 1
    assert post(client, "price_decide", act="accept").status_code == 303
    assert "Select at least one row." in text_of(client, reverse("price_proposals"))
    post(client, "price_decide", act="accept", everything="q=one&what=changed")
    assert PriceProposal.objects.filter(state="accepted").count() == 1
    post(client, "price_decide", act="accept", everything="all")
    states = dict(PriceProposal.objects.values_list("model", "state"))
    assert states == {"one": "accepted", "two": "accepted", "six": "open"}
    assert "Waits for approval" in text_of(client, reverse("price_proposals"))


FAST = {
    "kind": "speed", "value": "fast", "meters": {"in_text": 300_000_000},
    "tiers": [{"input_over": 200_000, "mode": "whole", "meters": {"in_text": 500_000_000}}],
    "source": "list", "date": "2026-01-01",
}  # fmt: skip
US = {"kind": "inference_geo", "value": "us", "multiplier_ppm": 1_100_000, "source": "list"}
BATCH = {"kind": "processing", "value": "batch", "meters": {}, "tiers": [], "source": "list"}
NAMES = ("kind", "value", "meter", "over", "number")


def form_of(client: Client, address: str) -> dict[str, list[str]]:
    """What a browser would send of the page's editor, by name, each in the order of the page."""
    page = client.get(address).content.decode()
    page = page[page.index(reverse("price_draft")) :]
    sent: dict[str, list[str]] = {}
    for tag in re.finditer(
        r'<input\b[^>]*\bname="([^"]+)"[^>]*>|<select\b[^>]*\bname="([^"]+)".*?</select>',
        page,
        re.S,
    ):
        chosen = re.search(r'<option value="([^"]*)"[^>]*\bselected', tag[0])
        value = re.search(r'\bvalue="([^"]*)"', tag[0])
        text = chosen[1] if chosen else value[1] if value and tag[1] else ""
        sent.setdefault(tag[1] or tag[2], []).append(html.unescape(text))
    return sent


def conditions_of(sent: dict[str, list[str]]) -> list[tuple[str, ...]]:
    """The rows of conditions that say something."""
    rows = zip(*(sent[f"condition_{name}"] for name in NAMES), strict=True)
    return [row for row in rows if row[-1]]


def typed(*rows: tuple[str, ...]) -> dict[str, list[str]]:
    """These rows of conditions as a browser sends them."""
    return {f"condition_{name}": [row[n] for row in rows] for n, name in enumerate(NAMES)}


def drafted_conditions(client: Client, sent: dict[str, Any]) -> list[dict[str, Any]]:
    PriceProposal.objects.all().delete()
    answer = client.post(reverse("price_draft"), sent)
    assert answer.status_code == 303, text_errors(answer)
    rates = PriceProposal.objects.get().rates or {}
    conditions: list[dict[str, Any]] = rates.get("conditions", [])
    return conditions


def text_errors(answer: Any) -> list[str]:
    return re.findall(r'class="error">.*?<span>(.*?)</span>', answer.content.decode(), re.S)


def test_conditions_are_added_changed_and_removed_in_the_editor(served: Cast) -> None:
    """What nobody touches stays as it was stored, with its source; what changes is the
    operator's own."""
    rates = {**RATES, "conditions": [FAST, US, BATCH]}
    version = set_price(SYSTEM, "gpt-4o", SINCE + dt.timedelta(days=1), rates, source="file")
    client, address = signed_in(served.dora), reverse("price", args=[version.price_id])
    sent = form_of(client, address)
    fast, fast_above, us, batch = conditions_of(sent)
    assert fast == ("speed", "fast", "in_text", "", "0.3")
    assert fast_above == ("speed", "fast", "in_text", "200000", "0.5")
    assert us == ("inference_geo", "us", "", "", "1.1")
    assert batch == ("processing", "batch", "", "", "1")
    # As it came, and then with another rate beside: nothing of the conditions is lost.
    assert drafted_conditions(client, sent) == [FAST, US, BATCH]
    sent["rate"][0] = "0.16"
    assert drafted_conditions(client, sent) == [FAST, US, BATCH]
    # Changed, added, and one removed.
    dearer, eu = (*us[:4], "1.2"), ("inference_geo", "eu", "", "", "1.05")
    cleared = (*batch[:4], "")
    sent |= typed(fast, fast_above, dearer, cleared, eu)
    assert drafted_conditions(client, sent) == [
        FAST,
        {"kind": "inference_geo", "value": "us", "multiplier_ppm": 1_200_000},
        {"kind": "inference_geo", "value": "eu", "multiplier_ppm": 1_050_000},
    ]
    page = text_of(
        client, reverse("price_proposal", args=[id_text(PriceProposal.objects.get().id)])
    )
    assert "inference in the US only" in page
    assert "× 1.2, all tokens" in page
    # A multiplier in the place of rates, and rates in the place of a multiplier.
    sent |= typed(("speed", "fast", "", "", "2"), (*us[:2], "out_text", "", "0.7"))
    assert drafted_conditions(client, sent) == [
        {"kind": "speed", "value": "fast", "multiplier_ppm": 2_000_000},
        {"kind": "inference_geo", "value": "us", "meters": {"out_text": 700_000_000}},
    ]
    sent |= typed()
    assert drafted_conditions(client, sent) == []


def test_a_preview_shows_the_effect_of_a_condition(served: Cast) -> None:
    """Usage that was served under it is priced by it, other usage is not."""
    key, _ = make_key(served.core)
    add_opening_credit(served.acme, 10**10)
    used, yesterday = {"in_text": 1_000_000}, clock.now() - dt.timedelta(days=1)
    part = {"meters": used, "conditions": {"speed": "fast"}}
    for pricing in (None, {"parts": [part]}):
        happen(
            key, yesterday, 150_000_000, model="gpt-4o", meters=used, pricing=pricing,
            price_version_id=list_prices(["gpt-4o"])[0].version_id,
        )  # fmt: skip
    client = signed_in(served.dora)
    fields = draft_fields(
        meter=["in_text"], over=[""], rate=["0.15"], **typed(("speed", "fast", "", "", "3"))
    )
    location = post(client, "price_draft", **fields)["location"]
    previewed = post(client, "price_decide", id=[location.rsplit("/")[-1]], act="preview", days="7")
    work_off()
    preview = PricePreview.objects.get()
    assert preview.result is not None
    assert preview.result["total"][1:3] == [300_000_000, 600_000_000]
    assert "$0.60" in text_of(client, previewed["location"])


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([("", "fast", "", "", "2")], "Choose what the condition is about."),
        ([("weather", "fast", "", "", "2")], "Choose what the condition is about."),
        ([("speed", "", "", "", "2")], "Enter a value as the request or the answer says it"),
        ([("speed", "Fast!", "", "", "2")], "Enter a value as the request or the answer says it"),
        ([("speed", "standard", "", "", "2")], "standard is the standard"),
        ([("speed", "fast", "", "", "-2")], "Enter a number from 0 to 1000"),
        ([("speed", "fast", "", "", "1e2")], "Enter a number from 0 to 1000"),
        ([("speed", "fast", "", "5", "2")], "A multiplier applies to all tokens"),
        ([("speed", "fast", "in_text", "", "NaN")], "Enter a rate of 0 or more"),
        ([("speed", "fast", "tokens", "", "2")], "Choose a meter."),
        ([("speed", "fast", "in_text", "x", "2")], "threshold must be a whole number"),
        ([("speed", "fast", "", "", "2"), ("speed", "fast", "", "", "3")], "either has one"),
        ([("speed", "fast", "", "", "2"), ("speed", "fast", "in_text", "", "3")], "either has"),
        ([("speed", "fast", "in_text", "", "2")] * 2, "This rate is listed twice."),
    ],
)
def test_invalid_condition_is_reported_at_its_row(
    served: Cast, rows: list[tuple[str, ...]], text: str
) -> None:
    answer = post(signed_in(served.dora), "price_draft", **draft_fields(**typed(*rows)))
    assert answer.status_code == 422
    assert any(text in error for error in text_errors(answer)), text_errors(answer)
    assert f'value="{rows[0][-1]}"' in answer.content.decode()
    assert not PriceProposal.objects.exists()


def test_a_preview_can_be_stopped_from_its_page(served: Cast) -> None:
    dora = actor(served.dora)
    draft = draft_price(dora, PriceKey("gpt-4o"), RATES, valid_from=None)
    client = signed_in(served.dora)
    started = post(client, "price_decide", act="preview", id=[id_text(draft.id)], days="7")
    post(client, "preview_cancel", started["location"].rsplit("/")[-1])
    assert PricePreview.objects.get().state == "cancelled"
    assert "was stopped" in text_of(client, started["location"])


def test_plan_cutting_by_half_waits_for_another_operator(served: Cast) -> None:
    """Two persons: by its multiplier, by putting somebody on it, by taking somebody off."""
    dora, otto = signed_in(served.dora), signed_in(person("otto", operator=True))
    dear = save_plan(SYSTEM, "dear", multiplier_ppm=3_000_000)
    cheap = save_plan(SYSTEM, "cheap", multiplier_ppm=400_000)
    slug = served.acme.slug
    post(dora, "plan_member", dear.id, slug=slug)
    assert price_plan_of(served.acme).name == "dear"
    for change, plan, after in (
        (
            ("plan_edit", (dear.id,), {"markup": "40", "models": "m-1"}),
            dear,
            1_400_000,
        ),
        (("plan_member", (cheap.id,), {"slug": slug}), cheap, 400_000),
    ):
        name, args, data = change
        before = price_plan_of(served.acme)
        for _ in range(2):
            post(dora, name, *args, **data)
            assert price_plan_of(served.acme).multiplier_ppm == before.multiplier_ppm
        page = reverse("price_plan", args=[plan.id])
        assert "dora@example.org requested a change" in text_of(otto, page)
        post(otto, name, *args, **data)
        assert price_plan_of(served.acme).multiplier_ppm == after
        assert "dora@example.org requested a change" not in text_of(otto, page)
    # What was not part of the cut was set at once, and stays.
    assert Plan.objects.get(name="dear").model_patterns == ["m-1"]
    # Nobody is on it: nobody pays less.
    post(dora, "plan_edit", dear.id, markup="-90", models="")
    assert Plan.objects.get(name="dear").multiplier_ppm == 100_000
    # Half of it is no more than half.
    post(dora, "plan_edit", cheap.id, markup="-80%", models="")
    assert price_plan_of(served.acme).multiplier_ppm == 200_000
    save_plan(SYSTEM, "cheap", multiplier_ppm=2_100_000)
    post(dora, "plan_member", cheap.id, slug=slug, off="1")
    assert price_plan_of(served.acme).name == "cheap"
    waits = waiting(PLAN, f"organisation:{served.acme.id}")
    assert waits is not None
    shown = text_of(otto, reverse("price_plan", args=[cheap.id]))
    assert "Price plan: cheap → Standard · Markup: +110% → 0%" in shown
    post(otto, "approval_decide", waits.outer_id, act="approve")
    assert price_plan_of(served.acme).name == ""
    asked = AuditEvent.objects.filter(action="approval.asked").order_by("id")
    assert [event.detail["changes"][-1]["after"] for event in asked] == ["1.4", "0.4", "1"]


def test_an_approved_plan_is_the_one_that_was_requested(served: Cast) -> None:
    """What has changed since is not approved with it, and a plan that is gone is not assigned."""
    dora, otto = actor(served.dora), actor(person("otto", operator=True))
    cheap = save_plan(SYSTEM, "cheap", multiplier_ppm=400_000)
    with pytest.raises(SecondPersonNeeded):
        assign_plan(dora, served.acme, "cheap")
    waits = waiting(PLAN, f"organisation:{served.acme.id}")
    assert waits is not None
    save_plan(SYSTEM, "cheap", multiplier_ppm=10_000)
    with pytest.raises(Refused, match="no longer what was requested"):
        decide(otto, waits, approve=True)
    remove_plan(SYSTEM, cheap)
    with pytest.raises(Refused, match="no plan named cheap"):
        decide(otto, waits, approve=True)
    assert price_plan_of(served.acme).name == ""


def test_plans_are_made_filled_and_removed_only_when_empty(served: Cast) -> None:
    client = signed_in(served.dora)
    response = post(client, "plan_create", name="retail", markup="+7 %", models="gpt-*\nm-1")
    plan = Plan.objects.get()
    again = post(client, "plan_create", name="retail", markup="800", models="")
    assert again.status_code == 422
    assert (plan.multiplier_ppm, plan.model_patterns) == (1_070_000, ["gpt-*", "m-1"])
    post(client, "plan_member", plan.id, slug=served.acme.slug)
    assert price_plan_of(served.acme).name == "retail"
    post(client, "plan_remove", plan.id)
    assert "The plan retail is in use" in text_of(client, response["location"])
    post(client, "plan_member", plan.id, slug=served.acme.slug, off="1")
    assert price_plan_of(served.acme).name == ""
    post(client, "plan_remove", plan.id)
    assert not Plan.objects.exists()


def test_team_and_person_can_have_their_own_plan(served: Cast) -> None:
    """The nearest plan holds: the person's, else the team's, else the organisation's."""
    client = signed_in(served.dora)
    bob = Membership.objects.get(user=served.bob)
    retail, own, vip = (
        save_plan(SYSTEM, name, multiplier_ppm=ppm)
        for name, ppm in (("retail", 1_000_000), ("own", 900_000), ("vip", 800_000))
    )
    slug = served.acme.slug
    post(client, "plan_member", retail.id, slug=slug)
    post(client, "plan_member", own.id, slug=slug, who=served.core.slug)
    post(client, "plan_member", vip.id, slug=slug, who="BOB@example.org")
    assert price_plan_in_force(served.acme) == PlanInForce(
        price_plan_of(served.acme), "organisation"
    )
    assert price_plan_in_force(served.acme, team=served.core).level == "team"
    in_force = price_plan_in_force(served.acme, team=served.core, member=bob)
    assert (in_force.plan.name, in_force.level) == ("vip", "member")
    prices = reverse("organisation_prices", args=[slug])
    assert "$0.12" in text_of(signed_in(served.bob), prices)
    assert "$0.15" in text_of(signed_in(served.alice), prices)
    for key_of, plan in ((served.bob, "vip"), (None, "own")):
        _, text = make_key(served.core, f"of-{plan}", user=key_of)
        assert with_key(text).get("/api/v1/prices").json()["plan"] == plan
    page = reverse("price_plan", args=[vip.id])
    assert "Person · acme" in text_of(client, page)
    for who in ("nobody@example.org", served.charlie.email, "no-team", "core/x", "<i>&'\""):
        refused = post(client, "plan_member", vip.id, slug=slug, who=who)
        assert refused.status_code == 422, who
        assert "Acme has no team or member" in refused.content.decode()
    post(client, "plan_remove", vip.id)
    assert Plan.objects.filter(name="vip").exists()
    post(client, "plan_member", vip.id, slug=slug, who=served.bob.email, off="1")
    assert price_plan_in_force(served.acme, team=served.core, member=bob).plan.name == "own"
    members.remove_member(served.acme, served.bob.email, actor=SYSTEM)
    assert not MemberPlan.objects.exists()


def test_remove_takes_who_stands_in_its_row_off_the_plan_and_nobody_else(served: Cast) -> None:
    """Sent as the page has it: an organisation, its team and its member stand beside each other."""
    client = signed_in(served.dora)
    plan = save_plan(SYSTEM, "retail", multiplier_ppm=1_070_000)
    bob = Membership.objects.get(user=served.bob)
    for holder in (served.acme, served.core, bob):
        assign_plan(SYSTEM, holder, "retail")
    address = reverse("price_plan", args=[plan.id])
    left = {"Acme acme", "core Team · acme", "Bob Person · acme"}
    for removed in ("core Team · acme", "Bob Person · acme", "Acme acme"):
        rows = rows_of_table(client, address)
        assert {row.removesuffix(" Remove") for row in rows} == left
        forms = dict(zip(rows, forms_of_rows(client, address), strict=True))
        assert client.post(*forms[f"{removed} Remove"]).status_code in (302, 303)
        left.remove(removed)
    assert "This plan is not in use" in text_of(client, address)


def forms_of_rows(client: Client, address: str) -> list[tuple[str, dict[str, str]]]:
    """Where the form of each row of a page's only table goes, and what it sends."""
    page = html.unescape(squeezed(client.get(address).content.decode()))
    return [
        (
            action,
            dict(re.findall(r'<(?:input|button) [^>]*name="([^"]+)" value="([^"]*)"', fields)),
        )
        for action, fields in re.findall(
            r'<form method="post" action="([^"]+)">(.*?)</form>', page.partition("<tbody>")[2]
        )
    ]


def test_a_cut_for_one_team_or_person_waits_for_another_operator(served: Cast) -> None:
    """Two persons: what a member paid is the dearest that could have held for any of their keys."""
    dora, otto = signed_in(served.dora), signed_in(person("otto", operator=True))
    bob = Membership.objects.get(user=served.bob)
    half, dear = (
        save_plan(SYSTEM, name, multiplier_ppm=ppm)
        for name, ppm in (("half", 500_000), ("dear", 1_100_000))
    )
    assign_plan(SYSTEM, served.core, "dear")
    sent = {"slug": served.acme.slug, "who": served.bob.email}
    post(dora, "plan_member", half.id, **sent)
    assert price_plan_in_force(served.acme, member=bob).plan.name == ""
    page = reverse("price_plan", args=[half.id])
    assert "requested a change of bob@example.org (Acme)" in text_of(otto, page)
    post(otto, "plan_member", half.id, **sent)
    assert price_plan_in_force(served.acme, member=bob).plan.name == "half"
    assert "requested a change" not in text_of(otto, page)
    save_plan(SYSTEM, "dear", multiplier_ppm=4_000_000)
    post(dora, "plan_member", dear.id, slug=served.acme.slug, who="core", off="1")
    assert price_plan_in_force(served.acme, team=served.core).plan.name == "dear"
    page = reverse("price_plan", args=[dear.id])
    assert "requested a change of core (Acme)" in text_of(otto, page)


def test_invalid_markup_is_rejected_with_a_message(served: Cast) -> None:
    response = post(signed_in(served.dora), "plan_create", name="x", markup="-101", models="")
    assert response.status_code == 422
    assert "Enter a percentage from -100" in response.content.decode()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("7", "A price of $10.00 becomes $10.70."),
        ("−10%", "A price of $10.00 becomes $9.00."),
        ("0.0001", "A price of $10.00 becomes $10.00001."),
        ("7,5", "Enter a percentage from -100"),
        ("", "Enter a percentage from -100"),
    ],
)  # fmt: skip
def test_markup_shows_its_effect_while_typing(served: Cast, typed: str, told: str) -> None:
    answer = signed_in(served.dora).get(reverse("markup_checked"), {"markup": typed})
    assert told in answer.content.decode()


def test_the_api_gives_the_book_exactly(served: Cast) -> None:
    save_plan(SYSTEM, "retail", multiplier_ppm=1_070_001)
    assign_plan(SYSTEM, served.acme, "retail")
    _, text = make_key(served.core, user=served.bob)
    answer = with_key(text).get("/api/v1/prices", {"model": "gpt-4o"}).json()
    assert (answer["plan"], answer["multiplier"]) == ("retail", "1.070001")
    (one,) = answer["items"]
    assert one["meters"] == {
        "in_text": "0.16050015",
        "out_text": "0.6420006",
        "searches": "0.01070001",
    }
    assert one["tiers"] == [
        {"input_over": 200_000, "mode": "whole", "meters": {"in_text": "0.3210003"}}
    ]
    assert with_key(text).get("/api/v1/prices", {"nonsense": "1"}).status_code == 400


def test_key_limited_to_models_sees_only_their_prices(served: Cast) -> None:
    """P12: what a key may not ask it does not see either."""
    texts = []
    for name, patterns in (("all", ()), ("few", ("gpt-*",)), ("none", ("no-such",))):
        _, text = make_key(served.core, name, user=served.bob, model_patterns=patterns)
        items = with_key(text).get("/api/v1/prices").json()["items"]
        texts.append({item["model"] for item in items})
    every, few, none = texts
    assert few == {model for model in every if model.startswith("gpt-")}
    assert (few < every, few != set(), none) == (True, True, set())
