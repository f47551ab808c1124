"""Admission: a transaction lets a request through by holding its worst-case price. One set of
statements decides (key still valid, money available) and writes (hold, attempt), for everything
that arrived during the previous commit (I5, P2).
"""

import datetime as dt
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.limits import budget_rules, budget_windows, enforcement
from billing.limits.channel_limits import ChannelLimits
from billing.limits.enforcement import HoldRequest, place_hold, place_holds
from lib.id_types import KeyId, UserId
from relay.database.database import Row, Statement
from relay.ledger.settlement import Settlement
from usage.records import sql as usage
from usage.sessions.windows import SessionWindow, open_session_windows

# A window that is still missing after it was opened is a defect. The request does not wait for it.
_TRIES_MAX: Final = 4


class Guarded(NamedTuple):
    """What an attempt must fit besides the wallet: budgets by id; the limits of the key, its team,
    its organisation and its user, from which it takes `tokens`; the limits of its channel; the
    included units that it takes, which pay `included_nano` of its price; what its client lets its
    session cost; what its organisation may pay its provider itself, by its own key; and its end
    user, for budgets of each one.
    """

    budget_ids: tuple[int, ...]
    tokens: int
    channel: ChannelLimits | None = None
    units: tuple[tuple[int, int], ...] = ()
    included_nano: int = 0
    session_cap_nano: int | None = None
    own_nano: int | None = None
    end_user: str = ""


class AdmissionRequest(msgspec.Struct, frozen=True):
    """An attempt that needs its hold. `replaces` is the failed attempt before it, whose hold is
    released in the same transaction, so that fail-over needs no second balance. `guards` is the
    version of the budgets that `guarded` was made from; None = no limits. `rolled_back`: a conflict
    with another transaction has undone it once.
    """

    attempt: usage.AttemptOpened
    ttl_seconds: int
    replaces: Settlement | None
    guards: int = 0
    guarded: Guarded | None = None
    tries: int = 0
    rolled_back: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """The decision about one admission (see `billing/limits/enforcement.py`). Results that need a
    second try stay inside this room. `available_nano` is what the wallet, or the tightest budget,
    has after this transaction."""

    word: str
    available_nano: int
    details: Mapping[str, Any] | None = None


def statements(batch: Sequence[AdmissionRequest]) -> list[Statement]:
    """Return the statements that decide on a batch, to be run after the accounts are locked. The
    first returns one row per request, in order.
    """
    if len(batch) == 1 and batch[0].guarded is None:
        return _alone(batch[0])
    return _in_arrays(batch)


def _alone(request: AdmissionRequest) -> list[Statement]:
    return [place_hold(_hold(request), usage.open_attempt(request.attempt))]


def _in_arrays(batch: Sequence[AdmissionRequest]) -> list[Statement]:
    holds = [_hold(request) for request in batch]
    return [place_holds(holds), usage.open_attempts([request.attempt for request in batch])]


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """Parse the verdicts that the first of `statements` returned."""
    return [
        Verdict(word or "", int(available or 0), msgspec.json.decode(details) if details else None)
        for word, available, details in rows
    ]


def ask_again(
    request: AdmissionRequest, verdict: Verdict, releasing: Container[UUID]
) -> AdmissionRequest | None:
    """Return the request for a second try, or None if the verdict is final. The first try has
    already resolved the attempt that it replaces. The next batch releases money of the
    organisations in `releasing`."""
    if verdict.word == "again":
        return msgspec.structs.replace(request, replaces=None)
    if verdict.word in ("insufficient", "limited") and request.attempt.organisation_id in releasing:
        return msgspec.structs.replace(request, replaces=None)
    if verdict.word in ("no_wallet", "no_window") and request.tries < _TRIES_MAX:
        return msgspec.structs.replace(request, replaces=None, tries=request.tries + 1)
    return None


def prepare(batch: Iterable[tuple[AdmissionRequest, Verdict]]) -> list[Statement]:
    """Return the statements that create rows before these requests are tried again: accounts of
    organisations without postings, and windows of budgets and sessions without spending."""
    organisations: set[UUID] = set()
    windows: set[budget_windows.WindowOpened] = set()
    of_sessions: set[SessionWindow] = set()
    for request, verdict in batch:
        if verdict.word == "no_wallet":
            organisations.add(request.attempt.organisation_id)
        elif verdict.word == "no_window" and verdict.details is not None:
            now = dt.datetime.fromtimestamp(verdict.details["now"], dt.UTC)
            for budget_id, period, anchor, timezone, end_user, *of_session in verdict.details[
                "windows"
            ]:
                if of_session:
                    session, organisation = map(UUID, of_session)
                    of_sessions.add(SessionWindow(organisation, session, budget_id))
                else:
                    window = _window(now, budget_id, period, anchor, timezone)
                    windows.add(window._replace(end_user=end_user))
    statements: list[Statement] = []
    if organisations:
        statements.append(open_accounts(organisations, WALLET_KINDS))
    if windows:
        statements.append(budget_windows.open_windows(sorted(windows)))
    if of_sessions:
        statements.append(lock_accounts(one.organisation_id for one in of_sessions))
        statements.append(open_session_windows(of_sessions))
    return statements


def _hold(request: AdmissionRequest) -> HoldRequest:
    attempt, guarded = request.attempt, request.guarded
    hold = HoldRequest(
        attempt_id=attempt.id,
        organisation_id=attempt.organisation_id,
        key_id=attempt.key_id,
        amount_nano=attempt.hold_nano,
        ttl_seconds=request.ttl_seconds,
        guards=request.guards,
        session_id=attempt.session_id,
    )
    if guarded is None:
        return hold
    return msgspec.structs.replace(
        hold,
        amount_nano=attempt.hold_nano - guarded.included_nano,
        guarded=True,
        budget_ids=guarded.budget_ids,
        tokens=guarded.tokens,
        counted=attempt.n == 1,
        user_id=attempt.user_id,
        channel=guarded.channel,
        units=guarded.units,
        included_nano=guarded.included_nano,
        session_cap_nano=guarded.session_cap_nano,
        own_nano=guarded.own_nano,
        end_user=guarded.end_user,
    )


def _window(
    now: dt.datetime, budget_id: int, period: budget_rules.Period, anchor: int, timezone: str
) -> budget_windows.WindowOpened:
    span = budget_rules.window(period, anchor, timezone, now)
    return budget_windows.WindowOpened(
        budget_id, int(span.start_at.timestamp()), int(span.end_at.timestamp())
    )


def count_request(organisation_id: UUID, key_id: KeyId, user_id: UserId | None) -> list[Statement]:
    """Return the statements that count a request without an attempt. The last one returns no row,
    or the details of the limit that is reached (`billing/limits/enforcement.py`).
    """
    return [lock_accounts([organisation_id]), enforcement.count_request(key_id, user_id)]


def read_available(
    organisation_id: UUID,
    budget_ids: Iterable[int],
    units: Collection[tuple[int, int]],
    included_nano: int,
) -> Statement:
    """Return a statement that reads how much could be held now, in nano. It returns one row; none
    if the organisation has no account."""
    return budget_windows.read_available(organisation_id, budget_ids, units, included_nano)
