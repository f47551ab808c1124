"""W30, W32, W33: what the pages show, to whom, and that their figures are the rows'."""

import datetime as dt
import html
import random
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import Key, Role
from billing.models import Account
from gateway.breaker.faults import FAULTS
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.markup import squeezed
from tests.usage.rows import METERS, NOON, admit, end, happen, price_version, refuse
from usage.requests import words

NO_HEADERS: dict[str, Any] = {}
DAY = "range=custom&from=2026-11-18&to=2026-11-18"


@pytest.fixture(autouse=True)
def _at_noon_of_the_20th(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=2))


def page(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(f"/o/acme/{path}", headers=headers)
    assert response.status_code == status, response.content
    return html.unescape(squeezed(response.content.decode()))


def links(text: str, pattern: str) -> list[str]:
    return re.findall(rf'href="(/o/acme/{pattern}[^"]*)"', text)


def rows(text: str) -> int:
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    return body.count("<tr>")


def test_usage_without_any_request(people: cast.Cast) -> None:
    text = page(cast.signed_in(people.alice), "usage")
    assert "No requests yet" in text
    assert 'href="/o/acme/"' in text


def test_usage_of_a_range_without_requests(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    happen(key, NOON - dt.timedelta(days=200))
    sum_up()
    text = page(cast.signed_in(people.alice), "usage")
    assert "No usage from 22 Oct 2026 to 20 Nov 2026" in text
    assert "The last request was on 2 May 2026." in text
    day = re.search(r'href="(\?[^"]*)"[^>]*>\s*Show that day', text)
    assert day is not None
    assert "2 May" in page(cast.signed_in(people.alice), f"usage{day[1]}")


def test_bars_sum_the_rows_behind_them(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    chance = random.Random(30)
    for _ in range(14):
        happen(
            key,
            NOON + dt.timedelta(seconds=chance.randrange(-86_400 * 10, 86_400 * 2)),
            chance.randrange(10**9),
            model=chance.choice(["claude", "gpt-5", "qwen"]),
        )
    sum_up()
    alice = cast.signed_in(people.alice)
    for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
        text = page(alice, f"usage?range=30d&tz={zone}")
        table = text.partition("data-chart=")[2].partition("</table>")[0]
        total = 0
        cells = re.findall(r'data-v="(\d+)">(?:<a href="([^"]+)">)?', table)
        for value, href in cells:
            total += int(value)
            assert bool(href) == bool(int(value))
            if href:
                assert charges(alice, href) == int(value)
        assert total == Account.objects.get(organisation=people.acme, kind="revenue").balance_nano


def charges(client: Client, href: str) -> int:
    """The sum over the rows of the log, from the pages of the same requests over the API."""
    query = href.partition("?")[2].replace("range=custom&", "")
    body = client.get(f"/api/v1/requests?limit=200&{query}").json()
    assert rows(html.unescape(client.get(href).content.decode())) == len(body["items"])
    return int(sum(Decimal(item["charge"]) for item in body["items"]) * 10**9)


def test_day_with_25_hours(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    # New York set its clocks back on 2026-11-01, at 06:00 UTC.
    day = dt.datetime(2026, 11, 1, 4, tzinfo=dt.UTC)
    for hour in range(26):
        happen(key, day + dt.timedelta(hours=hour, minutes=59), charge_nano=1 + hour)
    sum_up()
    text = page(
        cast.signed_in(people.alice),
        "usage?range=custom&from=2026-11-01&to=2026-11-02&tz=America/New_York&metric=requests",
    )
    table = text.partition("data-chart=")[2].partition("</table>")[0]
    values = [int(value) for value in re.findall(r'data-v="(\d+)"', table)]
    assert sum(values) == 26
    one_day = page(
        cast.signed_in(people.alice),
        "requests?range=custom&from=2026-11-01&to=2026-11-01&tz=America/New_York",
    )
    assert rows(one_day) == 25


def test_the_metric_and_the_group_are_links(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    happen(key)
    sum_up()
    text = page(cast.signed_in(people.alice), "usage?metric=tokens&group_by=key")
    assert "Tokens per day by key" in text
    assert 'href="?group_by=key"' in text
    assert 'href="?metric=tokens"' in text
    assert "group_by=channel" not in text
    bob = page(cast.signed_in(people.bob), "usage")
    assert "group_by=user" not in bob


def test_htmx_gets_a_part_and_a_clean_address(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    happen(key)
    sum_up()
    response = cast.signed_in(people.alice).get(
        "/o/acme/usage?range=7d&model=&key=&tz=UTC", headers={"HX-Request": "true"}
    )
    assert response["HX-Push-Url"] == "/o/acme/usage?range=7d"
    assert "<html" not in response.content.decode()
    assert "HX-Request" in response["Vary"]
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("name", "known"),
    [("bob", "model, key, team, project, customer, end_user, app"), ("dora", "app, channel")],
)
def test_unknown_grouping_is_named_with_the_valid_ones(
    people: cast.Cast, name: str, known: str
) -> None:
    client = cast.signed_in(getattr(people, name))
    for query in ("group_by=teams", "group_by=teams&range=7d", "metric=team"):
        for headers in (NO_HEADERS, {"HX-Request": "true"}):
            text = page(client, f"usage?{query}", **headers)
            assert f"{query.partition('&')[0]} (available: " in text
    assert f"{known})" in page(client, "usage?group_by=teams")


def test_mistyped_name_is_no_filter_choice(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    """Whoever has a key could fill the list with 404s; what was served stays, also in failure."""
    at = NOON + dt.timedelta(days=1)
    happen(key, at, model="served")
    happen(key, at, 0, model="free")
    end(admit(key, at, model="failing"), 0, status=502, kind="upstream_error", basis="none")
    refuse(key, at, model="mistyped")
    sum_up()
    for path in ("usage", "requests"):
        text = page(cast.signed_in(people.alice), path)
        matches = re.findall(r'name="model"[^>]*>(.*?)</(?:select|fieldset|details)>', text, re.S)
        page_text = set(re.findall(r'value="([a-z]+)"', text)) & {
            "served", "free", "failing", "mistyped",
        }  # fmt: skip
        assert page_text == {"served", "free", "failing"}, matches


def test_empty_parameter_is_dropped_and_named(people: cast.Cast) -> None:
    text = page(
        cast.signed_in(people.alice),
        "usage?range=forever&tz=Mars&key=1&nonsense=2&from=3&range=custom&channel=4",
    )
    for part in ("range=forever", "tz=Mars", "key=1", "nonsense=2", "channel=4"):
        assert part in text
    assert "Ignored filters:" in text
    hostile = page(cast.signed_in(people.alice), "requests?q=<script>alert(1)</script>")
    assert "q=<script>" in hostile
    raw = cast.signed_in(people.alice).get("/o/acme/requests?q=<script>alert(1)</script>")
    assert b"<script>alert" not in raw.content


def test_the_log(people: cast.Cast, key: Key) -> None:
    happen(key, meters={"in_text": 11, "in_cache_read": 22, "out_text": 33, "out_reasoning": 44})
    refuse(key)
    running = admit(key, NOON + dt.timedelta(minutes=1), hold_nano=42_000_000)
    every = "time,status,model,channel,upstream,tokens_in,cached,tokens_out,reasoning,cost,basis"
    text = page(cast.signed_in(people.alice), f"requests?cols={every}")
    assert rows(text) == 3
    # All that was read with what of it was cached, all that was written with what was reasoning.
    for figure in (">33<", ">22<", ">77<", ">44<"):
        assert figure in text
    assert ">$0.00021<" in text
    assert "measured" in text
    assert "gpt-5-2026" in text
    assert "402 Balance too low" in text
    assert "Running" in text
    assert "openai-east" not in text
    end(running)
    assert "Running" not in page(cast.signed_in(people.alice), "requests")


def test_the_log_pages_both_ways(people: cast.Cast, key: Key) -> None:
    for n in range(120):
        refuse(key, NOON + dt.timedelta(seconds=n))
    alice = cast.signed_in(people.alice)
    first = page(alice, "requests")
    older = re.search(r'rel="next" href="(\?[^"]+)"', first)
    assert older is not None
    assert 'rel="prev"' not in first
    second = page(alice, f"requests{older[1]}")
    last_link = re.search(r'rel="next" href="(\?[^"]+)"', second)
    assert last_link is not None
    third = page(alice, f"requests{last_link[1]}")
    assert 'rel="next"' not in third
    page_texts = [links(one, "requests/") for one in (first, second, third)]
    assert [len(one) for one in page_texts] == [50, 50, 20]
    assert len({href for one in page_texts for href in one}) == 120
    newer = re.search(r'rel="prev" href="(\?[^"]+)"', third)
    assert newer is not None
    assert links(page(alice, f"requests{newer[1]}"), "requests/") == page_texts[1]
    back = re.search(r'rel="prev" href="(\?[^"]+)"', second)
    assert back is not None
    assert links(page(alice, f"requests{back[1]}"), "requests/") == page_texts[0]


def test_the_log_by_id_and_by_status(people: cast.Cast, key: Key) -> None:
    record = happen(key)
    refuse(key)
    alice = cast.signed_in(people.alice)
    assert rows(page(alice, f"requests?q={id_text(record.request_id)}")) == 1
    assert rows(page(alice, "requests?status=error")) == 1
    nothing = page(alice, f"requests?q={id_text(new_id())}")
    assert "Nothing matches these filters" in nothing
    assert "Oldest stored request: 18 Nov 2026." in page(alice, "requests?range=today")


def test_one_request(people: cast.Cast, key: Key) -> None:
    meters = {"in_text": 1001, "in_cache_read": 3, "out_text": 7}
    version = price_version(rates={"meters": {"in_text": 37_500_000, "out_text": 600_000_000}})
    record = happen(
        key,
        charge_nano=41_850,
        hold_nano=10**8,
        meters=meters,
        price_version_id=version.id,
        raw_usage={"prompt_tokens": 1004},
    )
    text = page(cast.signed_in(people.alice), f"requests/{id_text(record.request_id)}")
    # 1001 x 37.5 nano = 37537.5; 3 x 37.5 = 112.5; 7 x 600 = 4200: 41,850 exactly.
    for part in ("$0.0000375375", "$0.0000001125", "$0.0000042", "$0.00004185"):
        assert part in text
    assert "$0.0375 / 1M" in text
    assert "$0.60 / 1M" in text
    assert "prompt_tokens" in text
    assert "$0.10 reserved → $0.00004185 charged" in text
    assert "Provider A" in text
    assert "openai-east" not in text
    # One posting: what ended the hold.
    assert text.count('title="01') == 1


def test_channel_reason_is_for_operators(people: cast.Cast, key: Key) -> None:
    attempt = admit(
        key,
        why="failover",
        channel_key="4f2a",
        skipped=[{"channel": "azure-west", "reason": "unsupported"}],
    )
    record = end(attempt)
    path = f"requests/{id_text(record.request_id)}"
    message = page(cast.signed_in(people.dora), path)
    for part in ("Next after a failure", "Provider key …4f2a", "azure-west skipped: it cannot"):
        assert part in message
    hidden = page(cast.signed_in(people.alice), path)
    assert "azure-west" not in hidden
    assert "4f2a" not in hidden


def test_request_flags_are_words(people: cast.Cast, key: Key) -> None:
    record = happen(key, flags=["F14", "usage_missing"])
    text = page(cast.signed_in(people.alice), f"requests/{id_text(record.request_id)}")
    assert "Answer cut off" in text
    assert "F14" not in text
    assert [code for code in FAULTS if words.flag_word(code) == code] == []


@pytest.mark.parametrize(("answering_ms", "expected_visible"), [(99, False), (100, True)])
def test_instant_answer_shows_no_speed(
    people: cast.Cast, key: Key, answering_ms: int, expected_visible: bool
) -> None:
    record = happen(key, ttft_ms=400, total_ms=400 + answering_ms)
    text = page(cast.signed_in(people.alice), f"requests/{id_text(record.request_id)}")
    assert ("tok/s" in text) is expected_visible


def test_a_rounded_receipt_sums_to_the_charge(people: cast.Cast, key: Key) -> None:
    version = price_version(rates={"meters": {"in_text": 37_500_000}})
    record = happen(key, charge_nano=38, meters={"in_text": 1}, price_version_id=version.id)
    text = page(cast.signed_in(people.alice), f"requests/{id_text(record.request_id)}")
    assert "$0.0000000375" in text
    assert "$0.0000000005" in text
    assert "$0.000000038" in text


def recomputed(client: Client, request_id: Any) -> str:
    response = client.post(
        f"/o/acme/requests/{id_text(request_id)}/recompute", headers={"HX-Request": "true"}
    )
    assert response.status_code == 200
    text = html.unescape(response.content.decode())
    assert text.strip().startswith('<div id="receipt-check"')
    return text


def test_recompute(people: cast.Cast, key: Key) -> None:
    version = price_version()
    alice = cast.signed_in(people.alice)
    right = happen(key, charge_nano=210_000, price_version_id=version.id)
    assert "Match" in recomputed(alice, right.request_id)
    wrong = happen(key, charge_nano=209_999, price_version_id=version.id)
    text = recomputed(alice, wrong.request_id)
    assert "Computed $0.00021, a difference of $0.000000001." in text
    unpriced = happen(key, meters={"images": 1}, price_version_id=version.id)
    assert "unpriced_meter: images" in recomputed(alice, unpriced.request_id)
    cut = happen(key, charge_nano=100, hold_nano=100, price_version_id=version.id)
    assert "Match" in recomputed(alice, cut.request_id)
    absorbed = happen(key, charge_nano=0, basis="absorbed", price_version_id=version.id)
    assert "Match" in recomputed(alice, absorbed.request_id)
    free = happen(key, charge_nano=0, basis="free")
    assert "Match" in recomputed(alice, free.request_id)
    whole = alice.post(f"/o/acme/requests/{id_text(right.request_id)}/recompute")
    assert "<html" in whole.content.decode()


def test_a_request_with_two_attempts(people: cast.Cast, key: Key) -> None:
    first = admit(key, NOON)
    end(
        first,
        0,
        final=False,
        status=429,
        kind="upstream_rate_limited",
        total_ms=200,
        ttft_ms=None,
        meters={},
        basis="none",
    )
    second = admit(
        key,
        NOON + dt.timedelta(milliseconds=210),
        request_id=first.request_id,
        n=2,
        channel_id=new_id(),
        channel_name="azure-sc",
        skipped=[{"channel": "azure-eu", "reason": "parallel"}],
    )
    end(second, meters=METERS)
    text = page(cast.signed_in(people.alice), f"requests/{id_text(first.request_id)}")
    for part in ("#1", "#2", "Provider A", "Provider B", "429", "210 ms", "1.79 s"):
        assert part in text
    assert "azure" not in text
    dora = page(cast.signed_in(people.dora), f"requests/{id_text(first.request_id)}")
    assert "azure-sc" in dora
    assert "azure-eu skipped: its limit of concurrent requests was reached" in " ".join(
        dora.split()
    )
    assert "openai-east" in dora
    every = "requests?cols=time,attempts,upstream,channel"
    log = page(cast.signed_in(people.alice), every)
    assert rows(log) == 1
    assert '<td data-c="attempts" class="n">2</td>' in log
    assert "azure-sc" not in log
    assert "azure-sc" in page(cast.signed_in(people.dora), every)


def test_a_failed_request_says_what_was_charged(people: cast.Cast, key: Key) -> None:
    alice = cast.signed_in(people.alice)
    refused = refuse(key)
    text = page(alice, f"requests/{id_text(refused.request_id)}")
    assert "Balance too low." in text
    assert "The balance is too small. You were not charged." in text
    assert "no provider called" in text
    broken = happen(key, status=502, kind="upstream_truncated", message="It broke off.")
    text = page(alice, f"requests/{id_text(broken.request_id)}")
    assert "You were charged $0.00021 for what was received." in text


def test_a_running_request(people: cast.Cast, key: Key) -> None:
    attempt = admit(key, hold_nano=42_000_000)
    path = f"requests/{id_text(attempt.request_id)}"
    text = page(cast.signed_in(people.alice), path)
    assert "$0.042 is reserved" in text
    assert 'hx-trigger="every 2s"' in text
    end(attempt)
    assert "every 2s" not in page(cast.signed_in(people.alice), path)


@pytest.mark.parametrize("path", ["usage", "requests"])
def test_people_who_may_look(people: cast.Cast, key: Key, path: str) -> None:
    happen(key)
    for role in (Role.ADMIN, Role.BILLING, Role.VIEWER):
        page(cast.signed_in(cast.member(people.acme, role.value, role)), path)
    page(cast.signed_in(people.bob), path)
    page(cast.signed_in(people.dora), path)
    page(cast.signed_in(people.charlie), path, 404)
    assert Client().get(f"/o/acme/{path}").status_code == 302


@pytest.mark.parametrize(
    ("tab", "panel"),
    [
        ("", 'id="metric-cost"'),
        ("keys", "Top keys"),
        ("times", "_f/times?"),
        ("errors", "Errors by cause"),
        ("changes", "_f/changes?"),
        ("unknown", 'id="metric-cost"'),
    ],
)
def test_each_tab_has_an_address_and_keeps_the_filters(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], tab: str, panel: str
) -> None:
    happen(key)
    refuse(key)
    sum_up()
    usage = page(cast.signed_in(people.alice), f"usage?{DAY}&model=gpt-5&tab={tab}")
    others = {
        'id="metric-cost"', "Top keys", "_f/times?", "Errors by cause",
        "_f/changes?",
    } - {panel}  # fmt: skip
    assert panel in usage
    assert [other for other in others if other in usage] == []
    names = ("Overview", "Keys and meters", "Times", "Errors", "Changes", "Sessions")
    address, current = r'href="/o/acme/(?:usage|sessions)\?([^"]*)"', r'(?: aria-current="page")?'
    link = rf"<a {address}{current}\s*>({'|'.join(names)})</a>"
    tabs = re.findall(link, usage)
    assert tuple(word for _, word in tabs) == names
    assert all("model=gpt-5" in href for href, _ in tabs)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (200, None, "200 OK"),
        (429, "rate_limited", "429 Rate limited"),
        (418, None, "418"),
        (402, "insufficient_balance", "402 Balance or budget too low"),
        (402, "max_cost_exceeded", "402 Cost limit too low"),
        (402, "model_unpriced", "402 No price"),
        (402, None, "402 Balance or limit too low"),
    ],
)
def test_a_status_has_a_word_beside_its_number(status: int, kind: str | None, text: str) -> None:
    assert words.status_text(status, kind) == text


def test_a_developer_sees_only_their_own(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    alices, _ = cast.make_key(people.core, "alices", user=people.alice)
    mine, hers = happen(key, charge_nano=10**8), happen(alices, charge_nano=5 * 10**9)
    refuse(alices)
    admit(alices)
    sum_up()
    bob = cast.signed_in(people.bob)
    usage = page(bob, f"usage?{DAY}")
    assert "$0.10" in usage
    assert "$5" not in usage
    assert "alices" not in usage
    log = page(bob, "requests")
    assert links(log, "requests/") == [f"/o/acme/requests/{id_text(mine.request_id)}"]
    page(bob, f"requests/{id_text(hers.request_id)}", 404)
    assert bob.post(f"/o/acme/requests/{id_text(hers.request_id)}/recompute").status_code == 404
    page(bob, f"requests/{id_text(mine.request_id)}")


def test_stranger_finds_nothing(people: cast.Cast, key: Key) -> None:
    record = happen(key)
    charlie = cast.signed_in(people.charlie)
    rid = id_text(record.request_id)
    page(charlie, f"requests/{rid}", 404)
    assert charlie.get(f"/o/stranger/requests/{rid}").status_code == 404
    assert charlie.get(f"/o/stranger/requests/{id_text(new_id())}").status_code == 404
    assert charlie.get("/o/stranger/requests/nonsense").status_code == 404
    assert rid not in charlie.get("/o/stranger/requests").content.decode()


def test_every_request_costs_the_same_number_of_statements(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], django_assert_max_num_queries: Any
) -> None:
    for n in range(30):
        happen(key, NOON + dt.timedelta(minutes=n), model=f"m{n % 9}")
    sum_up()
    alice = cast.signed_in(people.alice)
    # The first page of a session writes where it came from.
    page(alice, "usage")
    for path, most in (("usage", 18), ("requests", 19), ("usage?group_by=key&metric=tokens", 18)):
        with django_assert_max_num_queries(most):
            page(alice, path)


def test_log_of_requests_under_review(people: cast.Cast, key: Key) -> None:
    """I14, F27."""
    happen(key)
    doubted = happen(key, flags=["usage_huge", "quarantine"], basis="estimated")
    text = page(cast.signed_in(people.alice), f"requests?status=review&{DAY}")
    assert rows(text) == 1
    assert id_text(doubted.request_id) in text
    assert 'value="review" selected' in text
