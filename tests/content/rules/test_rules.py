"""Which requests are kept, and until when (P31)."""

import datetime as dt

import pytest

from content.rules.rules import Kept, Rule, Scope, drop_at, keeps, may_keep, rule_for


def _rule(scope: Scope, subject: str = "", keep: Kept = "everything", hours: int = 24) -> Rule:
    return Rule(scope, subject, keep, 100, hours, callers_may_opt_out=True)


ORGANISATION = _rule("organisation")
TEAM = _rule("team", "t1", "errors")
PATTERN = _rule("model", "gpt-*", hours=2)
LONGER = _rule("model", "gpt-5*", hours=3)
EXACT = _rule("model", "gpt-5", hours=4)
KEY = _rule("key", "k1", hours=5)
NO_CLAUDE = _rule("model", "claude-*", "nothing")
NO_TEAM = _rule("team", "t2", "nothing")


@pytest.mark.parametrize(
    ("rules", "team", "key", "model", "applies"),
    [
        ((), "t1", "k1", "gpt-5", None),
        ((TEAM,), "t9", "k9", "gpt-5", None),
        ((ORGANISATION,), "t9", "k9", "gpt-5", ORGANISATION),
        ((ORGANISATION, TEAM), "t1", "k9", "gpt-5", TEAM),
        ((ORGANISATION, TEAM, PATTERN), "t1", "k9", "gpt-5", PATTERN),
        ((PATTERN, LONGER), "t1", "k9", "gpt-5", LONGER),
        ((PATTERN, EXACT, LONGER), "t1", "k9", "gpt-5", EXACT),
        ((ORGANISATION, PATTERN, KEY), "t1", "k1", "gpt-5", KEY),
        ((ORGANISATION, KEY, NO_CLAUDE), "t1", "k1", "claude-4", NO_CLAUDE),
        ((KEY, NO_TEAM), "t2", "k1", "gpt-5", NO_TEAM),
        ((KEY, NO_TEAM), "t1", "k1", "gpt-5", KEY),
    ],
)
def test_rule_for(
    rules: tuple[Rule, ...], team: str, key: str, model: str, applies: Rule | None
) -> None:
    assert rule_for(rules, team=team, key=key, model=model, at=0) == applies
    assert rule_for(reversed(rules), team=team, key=key, model=model, at=0) == applies


@pytest.mark.parametrize(
    ("until", "at", "applies"),
    [(None, 9e9, True), (100.5, 100.4, True), (100.5, 100.5, False), (100.5, 101, False)],
)
def test_rule_that_has_ended_does_not_apply(until: float | None, at: float, applies: bool) -> None:
    """Neither one that keeps something nor one that keeps nothing: then the others apply."""
    of = {"team": "t1", "key": "k1"}
    key, nothing = KEY._replace(until=until), NO_TEAM._replace(subject="t1", until=until)
    found = rule_for([ORGANISATION, key], **of, model="m", at=at)
    assert found == (key if applies else ORGANISATION)
    assert may_keep([key], opted_out=False, at=at) is applies
    found = rule_for([ORGANISATION, nothing], **of, model="m", at=at)
    assert found == (nothing if applies else ORGANISATION)
    assert may_keep([ORGANISATION, nothing], opted_out=False, at=at) is not applies


@pytest.mark.parametrize(
    ("rule", "failed", "opted_out", "drawn", "kept"),
    [
        (ORGANISATION, False, False, 99, True),
        (ORGANISATION, False, True, 0, False),
        (ORGANISATION._replace(callers_may_opt_out=False), False, True, 0, True),
        (TEAM, False, False, 0, False),
        (TEAM, True, False, 99, True),
        (NO_TEAM, True, False, 0, False),
        (ORGANISATION._replace(share_percent=10), True, False, 9, True),
        (ORGANISATION._replace(share_percent=10), True, False, 10, False),
    ],
)
def test_keeps(rule: Rule, failed: bool, opted_out: bool, drawn: int, kept: bool) -> None:
    assert keeps(rule, failed=failed, opted_out=opted_out, drawn=drawn) is kept


@pytest.mark.parametrize(
    ("created", "hours", "dropped"),
    [
        ("2026-11-29T10:00:00+00:00", 1, "2026-11-29T11:00:00+00:00"),
        ("2026-11-29T10:00:01+00:00", 1, "2026-11-29T12:00:00+00:00"),
        ("2026-11-29T23:59:59+00:00", 47, "2026-12-01T23:00:00+00:00"),
        ("2026-11-29T10:00:00+00:00", 48, "2026-12-02T00:00:00+00:00"),
        ("2026-11-29T00:00:00+00:00", 48, "2026-12-01T00:00:00+00:00"),
        ("2026-11-29T01:30:00+08:00", 720, "2026-12-29T00:00:00+00:00"),
    ],
)
def test_dropped_after_the_retention_and_within_a_day(
    created: str, hours: int, dropped: str
) -> None:
    began = dt.datetime.fromisoformat(created)
    assert drop_at(began, hours) == dt.datetime.fromisoformat(dropped)
    assert drop_at(began, hours) >= began + dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("rules", "opted_out", "kept"),
    [
        ([], False, False),
        ([_rule("organisation")], False, True),
        ([_rule("organisation")], True, False),
        ([_rule("organisation", keep="errors")], False, False),
        ([_rule("organisation"), _rule("key", "k", "nothing")], False, False),
        ([_rule("organisation"), _rule("model", "gpt-5", "nothing")], False, True),
        ([_rule("organisation", keep="errors"), _rule("model", "gpt-5")], False, True),
    ],
)
def test_requests_to_some_model_may_be_kept(rules: list[Rule], opted_out: bool, kept: bool) -> None:
    assert may_keep(rules, opted_out=opted_out, at=0) is kept
