"""The words of an admission: which are final, which are asked again, and what is prepared first."""

from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest

from billing.limits.enforcement import HoldRequest
from lib.id_types import OrganisationId, UserId
from relay.ledger import admission
from relay.ledger.admission import AdmissionRequest, Guarded, Verdict
from usage.records.sql import AttemptOpened

ORGANISATION: Final = OrganisationId(uuid4())


def attempt(n: int = 1, **over: Any) -> AttemptOpened:
    ids: dict[str, Any] = {
        name: uuid4() for name in ("id", "request_id", "team_id", "key_id", "channel_id")
    }
    texts: dict[str, Any] = dict.fromkeys(
        ("model", "channel_name", "upstream_model", "dialect", "operation", "source"), "x"
    )
    return AttemptOpened(
        organisation_id=ORGANISATION, n=n, user_id=UserId(5), stream=False, price_version_id=None,
        hold_nano=100, **ids, **texts, **over,
    )  # fmt: skip


REPLACED: Final[Any] = "the attempt before"


def request(**over: Any) -> AdmissionRequest:
    fields: dict[str, Any] = {"attempt": attempt(), "ttl_seconds": 60, "replaces": REPLACED}
    return AdmissionRequest(**{**fields, **over})


WORDS: Final = ("admitted", "insufficient", "limited", "again", "no_wallet", "no_window", "invalid")


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("tries", [0, 3, 4])
@pytest.mark.parametrize("word", WORDS)
def test_verdicts_that_are_asked_again(word: str, tries: int, released: bool) -> None:
    """P5: what was replaced is resolved by the first question, so it is in no second one."""
    asked = request(tries=tries)
    again = admission.ask_again(asked, Verdict(word, 0), {ORGANISATION} if released else set())
    prepared = word in ("no_wallet", "no_window")
    if word == "again" or (word in ("insufficient", "limited") and released):
        assert again == msgspec.structs.replace(asked, replaces=None)
    elif prepared and tries < 4:
        assert again == msgspec.structs.replace(asked, replaces=None, tries=tries + 1)
    else:
        assert again is None


def test_empty_request_state_has_no_change_and_no_try() -> None:
    plain = request()
    assert (plain.guards, plain.guarded, plain.tries) == (0, None, 0)
    assert Guarded((), 0).included_nano == 0


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ((None, None, None), Verdict("", 0, None)),
        (("admitted", "7", None), Verdict("admitted", 7, None)),
        (("limited", "0", '{"gate":"tpm"}'), Verdict("limited", 0, {"gate": "tpm"})),
    ],
)
def test_verdict_is_read_from_its_row(row: Any, verdict: Verdict) -> None:
    assert admission.verdicts([row]) == [verdict]


WINDOW: Final = {
    "now": 1_795_262_400,
    "windows": [[4, "day", 0, "UTC", ""], [3, "day", 0, "UTC", ""]],
}


def test_only_missing_accounts_and_windows_are_opened() -> None:
    assert admission.prepare([(request(), Verdict(word, 0, WINDOW)) for word in WORDS[:4]]) == []
    (accounts,) = admission.prepare([(request(), Verdict("no_wallet", 0, WINDOW))])
    assert ORGANISATION.hex in str(accounts).replace("-", "")
    (windows,) = admission.prepare([(request(), Verdict("no_window", 0, WINDOW))] * 2)
    told = str(windows)
    assert "1795219200" in told, "midnight of that day"
    assert "1795305600" in told
    assert admission.prepare([(request(), Verdict("no_window", 0))]) == []
    both = [(request(), Verdict(word, 0, WINDOW)) for word in ("no_window", "no_wallet")]
    assert admission.prepare(both) == [accounts, windows]


def test_session_windows_open_under_the_account_lock() -> None:
    """I23: for a budget, and for what a client lets its session cost."""
    session = "00000000-0000-0000-0000-0000000000aa"
    rows = [[4, "session", 0, "UTC", "", session, str(ORGANISATION)]]
    rows.append([None, "session", 0, "UTC", "", session, str(ORGANISATION)])
    missing = {"now": 1_795_262_400, "windows": rows}
    lock, opened = admission.prepare([(request(), Verdict("no_window", 0, missing))] * 2)
    assert "FOR " in lock[0]
    assert sorted(str(opened[1]["budgets"]).strip("{}").split(",")) == ["4", "null"]
    assert str(opened[1]["sessions"]).count("aa") == 2


def test_hold_without_limits_is_the_whole_price() -> None:
    asked = request(guards=3)
    assert admission._hold(asked) == HoldRequest(
        attempt_id=asked.attempt.id,
        organisation_id=ORGANISATION,
        key_id=asked.attempt.key_id,
        amount_nano=100,
        ttl_seconds=60,
        guards=3,
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_guarded_hold_counts_one_request_per_minute(n: int) -> None:
    """P2: included units pay their part of the price."""
    guarded = Guarded((4,), 20, None, ((7, 2),), 30)
    hold = admission._hold(request(attempt=attempt(n), guarded=guarded))
    assert (hold.guarded, hold.counted, hold.amount_nano) == (True, n == 1, 70)
    assert (hold.budget_ids, hold.tokens, hold.user_id) == ((4,), 20, 5)
    assert (hold.units, hold.included_nano) == (((7, 2),), 30)
