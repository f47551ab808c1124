"""What changed, as the page tells it: of what its reader sees."""

import datetime as dt
import html
import re
from collections.abc import Callable

import pytest

from accounts.models import Key
from lib import clock
from tests.support import cast
from tests.usage.rows import NOON, happen

NANO = 10**9
PANEL = "/o/acme/usage/_f/changes?range=custom&from=2026-11-16&to=2026-11-18"


def lines_of(people: cast.Cast, name: str, more: str = "") -> list[str]:
    """What the panel says, which the page that has it asks for by htmx."""
    client = cast.signed_in(getattr(people, name))
    asked = (client.get(PANEL + more, headers=of) for of in ({}, {"HX-Request": "true"}))
    page, part = (_lines_in(answer.content.decode()) for answer in asked)
    assert page == part
    return part


def _lines_in(text: str) -> list[str]:
    main = text.partition('id="changes"')[2].partition("</section>")[0]
    return [html.unescape(" ".join(re.sub("<[^>]+>", " ", line).split())) for line in
            re.findall(r"<(?:p|dd)\b.*?</(?:p|dd)>", main, re.S)]  # fmt: skip


def test_changes_between_two_periods(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=2))
    others, _ = cast.make_key(people.core, "other", user=people.alice)
    happen(key, NOON, 5 * NANO, model="gpt-5")
    happen(others, NOON, 2 * NANO, model="qwen")
    happen(others, NOON - dt.timedelta(days=3), 3 * NANO, model="qwen")
    happen(key, NOON - dt.timedelta(days=365), 7 * NANO, model="qwen")
    sum_up()
    assert lines_of(people, "alice") == [
        "Cost went from $3.00 to $7.00. ▲ up 133.3%",
        "gpt-5 +$5.00 · qwen −$1.00",
        "web-prod +$5.00 · other −$1.00",
        "bob@example.org +$5.00 · alice@example.org −$1.00",
    ]
    assert lines_of(people, "bob")[1:] == ["gpt-5 +$5.00"]
    assert lines_of(people, "alice", "&compare=year") == ["The cost is the same."]
