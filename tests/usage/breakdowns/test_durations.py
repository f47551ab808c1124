"""Times of requests beside those of another period: the panel, the explorer, what changed."""

import datetime as dt
import html
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from django.template.loader import render_to_string

from accounts.models import Key, User
from lib import clock
from tests.support import cast
from tests.usage.rows import NOON, happen, refuse
from usage.breakdowns.durations import UNTIMED, times_over
from usage.breakdowns.explorer import Times
from usage.filters.filters import between
from usage.requests.words import duration_text, moved_text, speed_text
from usage.rollups.histograms import stored_value
from usage.rollups.levels import read_freshness

DAY = dt.timedelta(days=1)
ASKED = "range=custom&from=2026-11-16&to=2026-11-18"


@pytest.fixture
def used(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of bob one answer a day that takes 2 s and begins in 400 ms; in the days before 1 s and
    200 ms; a failure, which has no time; of alice one that takes a minute."""
    monkeypatch.setattr(clock, "now", lambda: NOON + DAY)
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    happen(key, NOON, ttft_ms=400, total_ms=2000)
    happen(key, NOON, status=502, ttft_ms=9, total_ms=9)
    happen(key, NOON - DAY, ttft_ms=400, total_ms=2000)
    happen(other, NOON - DAY, ttft_ms=50_000, total_ms=60_000, saved_nano=3 * 10**9)
    happen(key, NOON - 4 * DAY, ttft_ms=200, total_ms=1000)
    refuse(key, NOON)
    sum_up()


def times(ttft: int, total: int, tenths: int) -> Times:
    begun, whole = stored_value(ttft), stored_value(total)
    return Times((begun, begun, begun), (whole, whole, whole), tenths)


@pytest.mark.usefixtures("used")
def test_times_of_each_day_and_of_both_periods(people: cast.Cast) -> None:
    asked = between(NOON - 2.5 * DAY, NOON + 0.5 * DAY, ZoneInfo("UTC"), NOON, grain="day")
    bob = times_over(cast.actor(people.bob, people.acme), asked, read_freshness())
    # 100 tokens in 1.6 s.
    day = times(400, 2000, 625)
    assert [cell.times for cell in bob.buckets] == [UNTIMED, day, day]
    assert (bob.now.times, bob.before.times) == (day, times(200, 1000, 1250))
    alice = times_over(cast.actor(people.alice, people.acme), asked, read_freshness())
    assert alice.now.times is not None
    assert alice.now.times.total == (stored_value(2000), stored_value(60_000), stored_value(60_000))
    stranger = times_over(cast.actor(people.charlie, people.stranger), asked, read_freshness())
    assert [cell.times for cell in (*stranger.buckets, stranger.now)] == [UNTIMED] * 4


def text_of(who: User, path: str) -> str:
    answer = cast.signed_in(who).get(f"/o/acme/{path}")
    assert answer.status_code == 200
    plain = re.sub("<[^>]+>", " ", answer.content.decode())
    return html.unescape(" ".join(plain.split()))


@pytest.mark.usefixtures("used")
def test_the_panel_compares_times_in_figures_and_per_cent(people: cast.Cast) -> None:
    moved = moved_text(stored_value(2000), stored_value(1000), duration_text)
    assert re.fullmatch(r"\+\d+.* m?s \(\d+\.\d%\)", moved)
    panel = text_of(people.bob, f"usage/_f/times?{ASKED}")
    assert f"Duration p95 {duration_text(stored_value(2000))} {moved}" in panel
    assert "Tokens per second 62.5 \N{MINUS SIGN}62.5 (50.0%)" in panel
    assert "Saved by cache $0.00" in panel
    assert "Saved by cache $3.00" in text_of(people.alice, f"usage/_f/times?{ASKED}")
    # A year ago there was nothing to compare with.
    assert moved not in text_of(people.bob, f"usage/_f/times?{ASKED}&compare=year")
    speed = text_of(people.bob, f"usage/_f/times?{ASKED}&times=speed")
    assert "Whole period 62.5 Nov" not in speed
    assert "Whole period 62.5" in speed
    ttft = text_of(people.bob, f"usage/_f/times?{ASKED}&times=ttft")
    assert (
        f"Whole period {duration_text(stored_value(400))} {duration_text(stored_value(400))}"
        in ttft
    )


@pytest.mark.usefixtures("used")
def test_changes_panel_and_explorer_agree(people: cast.Cast) -> None:
    moved = moved_text(stored_value(2000), stored_value(1000), duration_text)
    changed = text_of(people.bob, f"usage/_f/changes?{ASKED}")
    assert (
        f"Duration p95 {duration_text(stored_value(1000))} → {duration_text(stored_value(2000))}"
        in changed
    )
    assert moved in changed
    path = f"/o/acme/usage/explore?{ASKED}&cols=group,p95_change,speed_change&export=csv"
    file = cast.signed_in(people.bob).get(path).getvalue().decode()
    # A cell that begins with a plus would be read as a formula.
    assert file.splitlines()[1:] == [f"gpt-5,'{moved},\N{MINUS SIGN}62.5 (50.0%)"]


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (120, 100, "+20 ms (20.0%)"),
        (100, 120, "\N{MINUS SIGN}20 ms (16.7%)"),
        (100, 100, "0 ms (0%)"),
        (5000, 0, "+5.00 s (–)"),
        (None, 1, ""),
        (1, None, ""),
    ],
)
def test_changes_in_times(now: int | None, before: int | None, text: str) -> None:
    assert moved_text(now, before, duration_text) == text
    assert speed_text(None) == "–"


@pytest.mark.parametrize(
    ("kind", "name", "tone"), [("duration", "ttft", "bad"), ("speed", "speed", "ok")]
)
def test_more_than_before_is_shown_as_more_everywhere(kind: str, name: str, tone: str) -> None:
    """In each figure of the panel, the table of its chart, and the panel of what changed. A longer
    time is worse, a higher speed better."""
    days = (dt.date(2026, 11, 16), dt.date(2026, 11, 18))
    more = {"now": 3000, "before": 1000}
    context = {
        "stats": [{"name": name, "more": (1, 1), "series": [], **more}],
        "saved": (3 * 10**9, 10**9),
        "chart": {"kind": kind, "title": "Times", "heads": ["p50", "p95"]},
        "feet": [more, more],
        "compared": days,
    }
    times = render_to_string("usage/breakdowns/_times.html", context)
    assert re.findall('<span class="delta" data-tone="(.*?)">', times) == [tone, "", tone, tone]
    text = moved_text(3000, 1000, speed_text if kind == "speed" else duration_text)
    assert text.startswith("+")
    assert times.count(text) == 3
    # What is saved is neither.
    assert times.count("\N{BLACK UP-POINTING TRIANGLE}") == 1
    line = {"word": "Times", "kind": kind, **more}
    changes = render_to_string(
        "usage/breakdowns/_changes.html",
        {"times": [line], "change": 1, "now": 3, "before": 1, "lines": []},
    )
    assert f'data-tone="{tone}">{text}<' in changes
    assert "\N{BLACK UP-POINTING TRIANGLE}" in changes
