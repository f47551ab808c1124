"""What pages say about the rules of the content log."""

import datetime as dt
from typing import Any

import pytest

from content.rules.rules import Rule
from content.rules.words import hours_max_text, rule_text, split_time, time_text

RULE = Rule("organisation", "", "everything", 100, 168, callers_may_opt_out=True)


@pytest.mark.parametrize(
    ("hours", "split", "text"),
    [
        (1, (1, 1), "1 hour"),
        (24, (24, 1), "24 hours"),
        (47, (47, 1), "47 hours"),
        (48, (2, 24), "2 days"),
        (49, (49, 1), "49 hours"),
        (168, (7, 24), "7 days"),
    ],
)
def test_time_is_in_days_from_two_whole_ones(hours: int, split: tuple[int, int], text: str) -> None:
    assert (split_time(hours), time_text(hours)) == (split, text)


def test_sentence_says_what_is_kept_and_for_how_long() -> None:
    def said(**over: Any) -> str:
        return rule_text(RULE._replace(**over))

    nothing = rule_text(None)
    assert said(keep="nothing") == nothing
    texts = [
        said(), said(keep="errors"), said(share_percent=30), said(keep="errors", share_percent=30)
    ]  # fmt: skip
    assert len({nothing, *texts}) == 5
    assert all("7 days" in text for text in texts)
    assert ["30 %" in text for text in texts] == [False, False, True, True]
    assert ["fail" in text for text in texts] == [False, True, False, True]
    until = dt.datetime(2027, 3, 4, 5, 6, tzinfo=dt.UTC).timestamp()
    assert "2027" in said(until=until)
    assert "5:06" in said(until=until)


def test_policy_that_keeps_nothing_says_so() -> None:
    assert "Nothing" in hours_max_text(0)
    assert "3 days" in hours_max_text(72)
