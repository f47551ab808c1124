"""Fills an empty installation with many requests, to measure pages and jobs.

Organisations, teams, people and keys are created in the usual way. The requests are copied into the
tables, with all of their entries in the books, so that every invariant holds. A few keys and models
have most of the traffic, and nights and weekends are quieter. Some requests fail, are refused,
stopped or retried.
"""

import datetime as dt
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members
from accounts.models import Key, KeyKind, Organisation, Role, User
from accounts.organisations import organisations, teams
from accounts.secrets.key_ring import seal_key
from billing.ledger.ledger import lock_wallet
from billing.ledger.posting import Posting, opening_credit
from billing.ledger.statement import close_days
from billing.models import Account, BooksWalk, Price, PriceVersion
from billing.prices import pricing
from billing.seals.seals import seal_all
from lib import clock
from lib.ids import new_id
from usage.books import walk as books_walk
from usage.books.walk import NEW
from usage.models import UsageRecord
from usage.records.partitions import ensure_partitions
from usage.rollups.rollups import rebuild

DAYS: Final = 90
_ORGANISATIONS: Final = 3
_KEYS: Final = 50
_MODELS: Final = 20
_CHANNELS: Final = 4
_PEOPLE: Final = 8
_CREDIT_NANO: Final = 10**16
_SHAPES: Final = 200
_PROJECTS: Final = ("search", "support", "internal", "")
_TAGS: Final[tuple[list[str], ...]] = (["beta"], ["beta", "eu"], ["eu"], [])
_CUSTOMERS: Final = 40
_APPS: Final = ("openai-python", "openai-python", "anthropic-python", "openai-node", "curl")
_HOURS_AT_ONCE: Final = 24
_ROWS_AT_ONCE: Final = 50_000
_SOURCE: Final = "demo data"
# How a request ends, and how often per thousand requests.
_ENDS: Final = {"answered": 955, "stopped": 10, "failed": 15, "retried": 10, "refused": 10}
_WEEKEND: Final = 0.4


class NotEmpty(Exception):
    """The installation has requests. The demo data could never be removed from its books."""


class Filled(NamedTuple):
    """What was created: the number of requests, and the first and last instant."""

    requests: int
    start_at: dt.datetime
    end_at: dt.datetime


class _Shape(NamedTuple):
    """The tokens of a request and their charge and cost. Each value is text for COPY, shared by the
    rows."""

    charge_nano: int
    cost_nano: int
    hold_nano: int
    total_ms: int
    sent: tuple[str, str]
    """From the model's name to the held amounts of the first attempt and of a second one."""
    ended: dict[str, str]
    """From the status to the saving, by how the request ends."""


class _Model(NamedTuple):
    name: str
    shapes: list[_Shape]


class _Sender(NamedTuple):
    """A key with the values that all of its rows share; `who` are team, key and person."""

    organisation: str
    who: str
    accounts: dict[str, int]


def fill(rows: int, *, days: int = DAYS, seed: int = 1) -> Filled:
    """Create `rows` requests over the last `days`, and sum them. Raises NotEmpty."""
    if UsageRecord.objects.exists():
        raise NotEmpty
    rng = random.Random(seed)
    # All requests have ended by then.
    end_at = clock.now().replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=1)
    start_at = end_at - dt.timedelta(days=days)
    ensure_partitions(since=start_at.date())
    book = _Book(rng, _senders(start_at), _models(rng, start_at))
    for hours in _iterate_batches(_spread(rows, start_at, days)):
        with transaction.atomic():
            for hour_at, count in hours:
                book.add_hour(hour_at, count)
            book.write()
        # Do it like the job, so that no seal covers more than a day.
        seal_all(seal_key(), until=hours[-1][0] + dt.timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    close_days(days + 1)
    rebuild()
    with connection.cursor() as cursor:
        cursor.execute(_LAST_USES)
        # Leave the state that the clean-up job would leave.
        cursor.execute("VACUUM (ANALYZE)")
    _note_checked()
    return Filled(rows, start_at, end_at)


def _note_checked() -> None:
    """Set the position of the minute's check as if it had always run: its sums are the accounts'
    balances. The full check still covers everything."""
    now = clock.now()
    books_walk.begin(NEW, now)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CHECKED, {"walk": NEW})
        BooksWalk.objects.filter(name=NEW).update(to_at=now)


# Keys and models -------------------------------------------------------------------------------


def _senders(start_at: dt.datetime) -> list[_Sender]:
    """Return the keys, the busiest first, each with its organisation's accounts."""
    senders: list[_Sender] = []
    places = [_organisation(n, start_at) for n in range(_ORGANISATIONS)]
    for n in range(_KEYS):
        # The third organisation has half of the keys.
        organisation, people, accounts = places[min(n % 4, 2) if n % 4 else 0]
        team = organisation.teams.order_by("name")[n % 2]
        user = people[n % len(people)] if n % 5 else None
        key, _ = keys.mint_key(SYSTEM, team, f"service-{n + 1}", kind=KeyKind.RELAY, user=user)
        senders.append(_sender(key, accounts))
    return senders


def _sender(key: Key, accounts: dict[str, int]) -> _Sender:
    who = _columns(key.team_id, key.id, _NULL if key.user_id is None else key.user_id)
    return _Sender(str(key.organisation_id), who, accounts)


def _organisation(n: int, start_at: dt.datetime) -> tuple[Organisation, list[User], dict[str, int]]:
    owner = members.add_person(f"owner-{n + 1}@demo.example", actor=SYSTEM)
    organisation = organisations.create_organisation(f"Demo {n + 1}", owner=owner, actor=SYSTEM)
    teams.create_team(organisation, "research", actor=SYSTEM)
    people = [owner]
    for person in range(_PEOPLE):
        email = f"person-{n + 1}-{person + 1}@demo.example"
        people.append(members.set_member(organisation, email, Role.DEVELOPER, actor=SYSTEM).user)
    with transaction.atomic():
        lock_wallet(organisation.id)
        Account.objects.create(organisation=organisation, kind="equity:opening")
    accounts = dict(Account.objects.filter(organisation=organisation).values_list("kind", "id"))
    _post_opening(opening_credit(organisation.id, _CREDIT_NANO), accounts, start_at)
    return organisation, people, accounts


def _post_opening(posting: Posting, accounts: dict[str, int], at: dt.datetime) -> None:
    """Post the credit before the first request. The ledger's own writer would use the current
    time."""
    lines = _Lines()
    entries = [(accounts[entry.account_kind], entry.amount_nano) for entry in posting.entries]
    moved, nanos = zip(*entries, strict=True)
    owner = posting.entries[0].organisation_id
    lines.add(
        "billing_posting",
        _columns(
            new_id(), posting.idempotency_id, _NULL, posting.kind, owner, "{}", "", at,
            _array(moved), _array(nanos),
        ),
    )  # fmt: skip
    lines.move(moved, nanos)
    with transaction.atomic():
        lines.write()


def _models(rng: random.Random, start_at: dt.datetime) -> list[_Model]:
    """Return the models with their prices, the most used first."""
    channels = [(new_id(), f"provider-{n + 1}") for n in range(_CHANNELS)]
    requests = []
    for n in range(_MODELS):
        name = f"demo-model-{n + 1}"
        rate = 100_000_000 * (1 + n % 7)
        rates = {"in_text": rate, "in_cache_read": rate // 2, "out_text": rate * 4}
        rates |= {"out_reasoning": rate * 4} if n % 4 == 0 else {}
        charge = _version(name, "charge", rates, start_at)
        cost = _version(
            name, "cost", {meter: nano * 4 // 5 for meter, nano in rates.items()}, start_at
        )
        tried = [channels[(n + more) % _CHANNELS] for more in range(2)]
        shapes = [_shape(rng, name, charge, cost, tried) for _ in range(_SHAPES)]
        requests.append(_Model(name, shapes))
    return requests


def _version(name: str, kind: str, rates: dict[str, int], start_at: dt.datetime) -> PriceVersion:
    price = Price.objects.create(model=name, kind=kind)
    return PriceVersion.objects.create(
        price=price, valid_from=start_at, rates={"meters": rates}, source=_SOURCE
    )


def _shape(
    rng: random.Random,
    model: str,
    charge: PriceVersion,
    cost: PriceVersion,
    channels: list[tuple[UUID, str]],
) -> _Shape:
    meters = {
        "in_text": int(rng.lognormvariate(6.5, 1.2)) + 1,
        "out_text": int(rng.lognormvariate(5, 1)) + 1,
    }
    if rng.random() < 0.4:
        meters["in_cache_read"] = int(rng.lognormvariate(7, 1)) + 1
    if "out_reasoning" in charge.rates["meters"] and rng.random() < 0.5:
        meters["out_reasoning"] = int(rng.lognormvariate(6, 1)) + 1
    charge_nano, cost_nano = _total(meters, charge), _total(meters, cost)
    hold_nano = charge_nano * 3
    ttft_ms = int(rng.lognormvariate(6, 0.5))
    total_ms = ttft_ms + meters["out_text"] * 12
    saved_nano = pricing.saved_by_cache(meters, pricing.PriceVersion.from_stored(charge.rates))
    times = ttft_ms, total_ms
    counted = (json.dumps(meters), charge_nano, "measured", cost_nano, *times, "{}", saved_nano)
    nothing = ("{}", 0, "none", _NULL, _NULL, total_ms, "{}", 0)
    first, second = (
        _columns(
            model, *channel, model, "openai", "chat", total_ms % 2 == 0, "api", charge.id, cost.id,
            hold_nano,
        )
        for channel in channels
    )  # fmt: skip
    ended = {
        "answered": _columns(200, _NULL, "", "stop", *counted),
        "stopped": _columns(499, "client_closed", "", "", *counted),
        "failed": _columns(502, "upstream_error", "", "", *nothing),
    }
    return _Shape(charge_nano, cost_nano, hold_nano, total_ms, (first, second), ended)


def _total(meters: dict[str, int], version: PriceVersion) -> int:
    total = pricing.total_of(meters, pricing.PriceVersion.from_stored(version.rates))
    if not isinstance(total, int):
        raise TypeError(total.reason)
    return total


# Times ------------------------------------------------------------------------------------------


def _spread(rows: int, start_at: dt.datetime, days: int) -> Iterator[tuple[dt.datetime, int]]:
    """Yield the hours with their number of requests; the sum is `rows`."""
    hours = [start_at + dt.timedelta(hours=n) for n in range(days * 24)]
    busy = [
        (1 + abs(12 - abs(at.hour - 14))) * (_WEEKEND if at.weekday() >= 5 else 1) for at in hours
    ]
    so_far = list(accumulate(busy))
    done = 0
    for at, upto in zip(hours, so_far, strict=True):
        # Differences of the running sum, so that no request is lost to rounding.
        until = round(rows * upto / so_far[-1])
        yield at, until - done
        done = until


def _iterate_batches(
    hours: Iterable[tuple[dt.datetime, int]],
) -> Iterator[list[tuple[dt.datetime, int]]]:
    batch: list[tuple[dt.datetime, int]] = []
    for hour in hours:
        batch.append(hour)
        if len(batch) == _HOURS_AT_ONCE or sum(count for _, count in batch) >= _ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


# Rows --------------------------------------------------------------------------------------------

_COLUMNS: Final = {
    "usage_attempt": """organisation_id, id, request_id, n, team_id, key_id, user_id, model,
        channel_id, channel_name, upstream_model, dialect, operation, stream, source,
        price_version_id, cost_version_id, hold_nano, admitted_at, project, tags, customer,
        client_app, end_user""",
    "usage_usagerecord": """organisation_id, id, request_id, final, team_id, key_id, user_id, model,
        channel_id, channel_name, upstream_model, dialect, operation, stream, source,
        price_version_id, cost_version_id, hold_nano, admitted_at, ended_at, status, kind, message,
        finish_reason, meters, charge_nano, basis, cost_nano, ttft_ms, total_ms, flags, saved_nano,
        project,
        tags, customer, client_app, end_user""",
    "billing_hold": """id, organisation_id, amount_nano, state, opened_at, expires_at, resolved_at,
        posted""",
    "billing_posting": """id, idempotency_id, attempt_id, kind, organisation_id, cause, actor,
        created_at, account_ids, amounts_nano""",
}
_NULL: Final = r"\N"
_HOLD_LIFE_MS: Final = 3_600_000
_LOW_BITS: Final = (1 << 62) - 1
_MOVE: Final = """
    UPDATE billing_account account SET balance_nano = balance_nano + moved.nano
    FROM unnest(%s::bigint[], %s::bigint[]) AS moved (id, nano) WHERE account.id = moved.id"""
_LAST_USES: Final = """
    INSERT INTO accounts_secretuse (digest, organisation_id, key_id, at, address, client)
    SELECT key.digest, key.organisation_id, key.id, max(r.bucket_at), '192.0.2.7', 'demo'
    FROM usage_rollup r JOIN accounts_key key ON key.id = r.key_id GROUP BY key.id
    ON CONFLICT (digest) DO NOTHING"""
_CHECKED: Final = """
    INSERT INTO billing_checkedsum (walk, kind, subject_id, nano)
    SELECT %(walk)s, summed.kind, account.id, account.balance_nano
    FROM billing_account account
    JOIN (VALUES ('account', ''), ('sold', 'revenue')) AS summed (kind, of)
        ON summed.of IN ('', account.kind)"""


def _columns(*values: object) -> str:
    """Return the columns of a row for COPY."""
    return "\t".join(map(str, values))


def _array(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


# A request's labels and the like: each is one of a few values that many requests share.
_TAG_TEXTS: Final = [json.dumps(tags) if tags else _NULL for tags in _TAGS]
_CUSTOMER_TEXTS: Final = ["", *(f"customer-{n}" for n in range(1, _CUSTOMERS))]


@dataclass
class _Lines:
    """Rows to copy, by table, and the amounts by which they change the accounts (I3)."""

    rows: dict[str, list[str]] = field(default_factory=lambda: {table: [] for table in _COLUMNS})
    moved: dict[int, int] = field(default_factory=dict)

    def add(self, table: str, line: str) -> None:
        self.rows[table].append(line)

    def move(self, accounts: Iterable[int], nanos: Iterable[int]) -> None:
        for account, nano in zip(accounts, nanos, strict=True):
            self.moved[account] = self.moved.get(account, 0) + nano

    def write(self) -> None:
        with connection.cursor() as cursor:
            # A crash loses nothing but data that can be generated again.
            cursor.execute("SET LOCAL synchronous_commit = off")
            for table, columns in _COLUMNS.items():
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("".join(f"{line}\n" for line in self.rows[table]))
                self.rows[table].clear()
            cursor.execute(_MOVE, [list(self.moved), list(self.moved.values())])
        self.moved.clear()


class _Book:
    """Generates the rows of requests, in the order of time. Instants are milliseconds since
    1970."""

    def __init__(self, rng: random.Random, senders: list[_Sender], models: list[_Model]) -> None:
        self._rng = rng
        self._senders, self._models = senders, models
        self._lines = _Lines()

    def add_hour(self, hour_at: dt.datetime, count: int) -> None:
        """Add `count` requests in the hour."""
        rng, first = self._rng, int(hour_at.timestamp()) * 1000
        # The most used items have the lowest ranks, as in a Zipf distribution.
        picked = zip(
            sorted(first + int(rng.random() * 3_590_000) for _ in range(count)),
            rng.choices(self._senders, [1 / (n + 1) for n in range(len(self._senders))], k=count),
            rng.choices(self._models, [1 / (n + 1) for n in range(len(self._models))], k=count),
            rng.choices(list(_ENDS), list(_ENDS.values()), k=count),
            strict=True,
        )
        for at, sender, model, end in picked:
            shape = model.shapes[int(rng.random() * _SHAPES)]
            self._add(at, sender, model, shape, end)

    def write(self) -> None:
        self._lines.write()

    def _add(self, at: int, sender: _Sender, model: _Model, shape: _Shape, end: str) -> None:
        request_id = self._id(at)
        counted_to = _attribution_of(request_id)
        if end == "refused":
            self._refuse(request_id, at, sender, model, counted_to)
        elif end == "retried":
            self._attempt(
                request_id=request_id,
                n=1,
                at=at,
                sender=sender,
                shape=shape,
                end="failed",
                counted_to=counted_to,
                final=False,
            )
            self._attempt(
                request_id=request_id,
                n=2,
                at=at + 250,
                sender=sender,
                shape=shape,
                end="answered",
                counted_to=counted_to,
            )
        else:
            self._attempt(
                request_id=request_id,
                n=1,
                at=at,
                sender=sender,
                shape=shape,
                end=end,
                counted_to=counted_to,
            )

    def _attempt(
        self,
        request_id: str,
        n: int,
        at: int,
        sender: _Sender,
        shape: _Shape,
        end: str,
        counted_to: str,
        *,
        final: bool = True,
    ) -> None:
        id, lines, of = self._id(at), self._lines, sender.organisation
        ended = at + shape.total_ms
        began_at, ended_at, sent = _instant(at), _instant(ended), shape.sent[n - 1]
        head = f"{of}\t{id}\t{request_id}"
        lines.add("usage_attempt", f"{head}\t{n}\t{sender.who}\t{sent}\t{began_at}\t{counted_to}")
        lines.add(
            "usage_usagerecord",
            f"{head}\t{final}\t{sender.who}\t{sent}\t{began_at}\t{ended_at}"
            f"\t{shape.ended[end]}\t{counted_to}",
        )
        accounts, charge, cost = sender.accounts, shape.charge_nano, shape.cost_nano
        available = accounts["customer:available"]
        moved: tuple[int, ...] = (
            available,
            accounts["revenue"],
            accounts["provider:cost"],
            accounts["provider:payable"],
        )
        nanos: tuple[int, ...] = (-charge, charge, -cost, cost)
        state, kind = "settled", "settle"
        if end == "failed":
            state, kind = "voided", "void"
            moved, nanos = (available, accounts["customer:held"]), (0, 0)
        expires_at = _instant(at + _HOLD_LIFE_MS)
        lines.add(
            "billing_hold",
            f"{id}\t{of}\t{shape.hold_nano}\t{state}\t{began_at}\t{expires_at}\t{ended_at}\tf",
        )
        lines.add(
            "billing_posting",
            f"{self._id(ended)}\t{_NULL}\t{id}\t{kind}\t{of}\t{{}}\t\t{ended_at}"
            f"\t{_array(moved)}\t{_array(nanos)}",
        )
        lines.move(moved, nanos)

    def _refuse(self, id: str, at: int, sender: _Sender, model: _Model, counted_to: str) -> None:
        began_at = _instant(at)
        self._lines.add(
            "usage_usagerecord",
            _columns(
                sender.organisation, id, id, True, sender.who, model.name, _NULL, "", "", "openai",
                "chat", True, "api", _NULL, _NULL, 0, began_at, began_at, 429, "rate_limited", "",
                "", "{}", 0, "none", _NULL, _NULL, 2, "{}", 0, counted_to,
            ),
        )  # fmt: skip

    def _id(self, at: int) -> str:
        """Return an id with the time `at`."""
        bits = self._rng.getrandbits(74)
        return f"{at << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & _LOW_BITS:032x}"


def _attribution_of(request_id: str) -> str:
    """Return the labels, application and end user of a request, the same for all its rows."""
    n = int(request_id[-6:], 16)
    end_user = f"user-{n % 1000}" if n % 3 == 0 else ""
    return (
        f"{_PROJECTS[n // 7 % len(_PROJECTS)]}\t{_TAG_TEXTS[n % len(_TAGS)]}"
        f"\t{_CUSTOMER_TEXTS[n % _CUSTOMERS]}\t{_APPS[n // 3 % len(_APPS)]}\t{end_user}"
    )


def _instant(at: int) -> str:
    seconds = at % 60_000 / 1000
    return f"{_minute(at // 60_000)}{seconds:06.3f}+00"


@cache
def _minute(minute: int) -> str:
    return f"{dt.datetime.fromtimestamp(minute * 60, dt.UTC):%Y-%m-%d %H:%M:}"
