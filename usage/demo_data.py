"""Requests in bulk for an installation that has none: what pages and jobs are measured on.

Organisations, teams, people and keys are made as anybody makes them; the requests are copied into
the tables, each with all that a real one leaves in the books, so that every invariant holds. A few
keys and models take most of the traffic, nights and weekends are quieter, some requests fail, are
refused, stopped or sent again.
"""

import datetime as dt
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from accounts import keys, members, organisations, teams
from accounts.actors import SYSTEM
from accounts.kek_ring import seal_key
from accounts.models import Key, KeyKind, Organisation, Role, User
from billing.ledger import lock_wallet
from billing.models import Account, Price, PriceVersion
from billing.rules import pricing
from billing.rules.posting import Posting, opening_credit
from billing.seals import seal_all
from lib import clock
from lib.ids import new_id
from usage import books_walk
from usage.books_check import NEW
from usage.models import UsageRecord
from usage.partitions import ensure_partitions
from usage.rollups import rebuild

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
_SOURCE: Final = "demo data"
# How a request ends, and how often among a thousand.
_ENDS: Final = {"answered": 955, "stopped": 10, "failed": 15, "retried": 10, "refused": 10}
_WEEKEND: Final = 0.4


class NotEmpty(Exception):
    """The installation has requests: what is written can never be taken out of its books."""


class Filled(NamedTuple):
    """What was made: requests, from the first instant up to the last."""

    requests: int
    start_at: dt.datetime
    end_at: dt.datetime


class _Shape(NamedTuple):
    """The tokens of a request, what they cost the customer and us, and what was held for them."""

    meters: str
    charge_nano: int
    cost_nano: int
    hold_nano: int
    ttft_ms: int
    total_ms: int


class _Model(NamedTuple):
    name: str
    charge_version: int
    cost_version: int
    shapes: list[_Shape]


class _Sender(NamedTuple):
    """A key, and what its rows have in common."""

    organisation_id: UUID
    team_id: UUID
    key_id: UUID
    user_id: int | None
    accounts: dict[str, int]


def fill(rows: int, *, days: int = DAYS, seed: int = 1) -> Filled:
    """Make so many requests over the last days, and sum them. Raises NotEmpty."""
    if UsageRecord.objects.exists():
        raise NotEmpty
    rng = random.Random(seed)
    end_at = clock.now().replace(minute=0, second=0, microsecond=0)
    start_at = end_at - dt.timedelta(days=days)
    ensure_partitions(since=start_at.date())
    senders, models = _senders(start_at), _models(rng, start_at)
    channels = [(new_id(), f"provider-{n + 1}") for n in range(_CHANNELS)]
    book = _Book(rng, senders, models, channels)
    for hours in _in_batches(_spread(rows, start_at, days)):
        with transaction.atomic():
            for hour_at, count in hours:
                book.add_hour(hour_at, count)
            book.write()
        # As the job does it, so that no seal covers more than a day.
        seal_all(seal_key(), until=hours[-1][0] + dt.timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    rebuild()
    # A check that ran before looked only at what came after it.
    books_walk.begin(NEW, clock.now())
    with connection.cursor() as cursor:
        cursor.execute(_LAST_USES)
        cursor.execute("ANALYZE")
    return Filled(rows, start_at, end_at)


# Who and what ------------------------------------------------------------------------------------


def _senders(start_at: dt.datetime) -> list[_Sender]:
    """The keys, the busiest first, each with its organisation's accounts."""
    made: list[_Sender] = []
    places = [_organisation(n, start_at) for n in range(_ORGANISATIONS)]
    for n in range(_KEYS):
        # The first organisation has half of them.
        organisation, people, accounts = places[min(n % 4, 2) if n % 4 else 0]
        team = organisation.teams.order_by("name")[n % 2]
        user = people[n % len(people)] if n % 5 else None
        key, _ = keys.mint_key(SYSTEM, team, f"service-{n + 1}", kind=KeyKind.RELAY, user=user)
        made.append(_sender(key, accounts))
    return made


def _sender(key: Key, accounts: dict[str, int]) -> _Sender:
    return _Sender(key.organisation_id, key.team_id, key.id, key.user_id, accounts)


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
    """The credit, posted before the first request: the ledger's own writer posts now."""
    lines = _Lines()
    entries = [(accounts[entry.account_kind], entry.amount_nano) for entry in posting.entries]
    organisation_id = posting.entries[0].organisation_id
    names = (posting.idempotency_id, _NULL)
    lines.post(str(new_id()), names, posting.kind, organisation_id, at, entries)
    with transaction.atomic():
        lines.write()


def _models(rng: random.Random, start_at: dt.datetime) -> list[_Model]:
    """The models with their prices, the most used first."""
    made = []
    for n in range(_MODELS):
        name = f"demo-model-{n + 1}"
        rate = 100_000_000 * (1 + n % 7)
        rates = {"in_text": rate, "in_cache_read": rate // 2, "out_text": rate * 4}
        rates |= {"out_reasoning": rate * 4} if n % 4 == 0 else {}
        charge = _version(name, "charge", rates, start_at)
        cost = _version(
            name, "cost", {meter: nano * 4 // 5 for meter, nano in rates.items()}, start_at
        )
        shapes = [_shape(rng, charge, cost) for _ in range(_SHAPES)]
        made.append(_Model(name, charge.id, cost.id, shapes))
    return made


def _version(name: str, kind: str, rates: dict[str, int], start_at: dt.datetime) -> PriceVersion:
    price = Price.objects.create(model=name, kind=kind)
    return PriceVersion.objects.create(
        price=price, valid_from=start_at, rates={"meters": rates}, source=_SOURCE
    )


def _shape(rng: random.Random, charge: PriceVersion, cost: PriceVersion) -> _Shape:
    meters = {
        "in_text": int(rng.lognormvariate(6.5, 1.2)) + 1,
        "out_text": int(rng.lognormvariate(5, 1)) + 1,
    }
    if rng.random() < 0.4:
        meters["in_cache_read"] = int(rng.lognormvariate(7, 1)) + 1
    if "out_reasoning" in charge.rates["meters"] and rng.random() < 0.5:
        meters["out_reasoning"] = int(rng.lognormvariate(6, 1)) + 1
    charge_nano = _total(meters, charge)
    ttft_ms = int(rng.lognormvariate(6, 0.5))
    return _Shape(
        json.dumps(meters),
        charge_nano,
        _total(meters, cost),
        charge_nano * 3,
        ttft_ms,
        ttft_ms + meters["out_text"] * 12,
    )


def _total(meters: dict[str, int], version: PriceVersion) -> int:
    total = pricing.total_of(meters, pricing.PriceVersion.from_stored(version.rates))
    if not isinstance(total, int):
        raise TypeError(total.reason)
    return total


# When --------------------------------------------------------------------------------------------


def _spread(rows: int, start_at: dt.datetime, days: int) -> Iterator[tuple[dt.datetime, int]]:
    """The hours with how many requests each has; together they are `rows`."""
    hours = [start_at + dt.timedelta(hours=n) for n in range(days * 24)]
    busy = [
        (1 + abs(12 - abs(at.hour - 14))) * (_WEEKEND if at.weekday() >= 5 else 1) for at in hours
    ]
    so_far = list(accumulate(busy))
    done = 0
    for at, upto in zip(hours, so_far, strict=True):
        # Cut from the running sum: no request is lost to rounding.
        until = round(rows * upto / so_far[-1])
        yield at, until - done
        done = until


def _in_batches(
    hours: Iterable[tuple[dt.datetime, int]],
) -> Iterator[list[tuple[dt.datetime, int]]]:
    batch: list[tuple[dt.datetime, int]] = []
    for hour in hours:
        batch.append(hour)
        if len(batch) == _HOURS_AT_ONCE:
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
        finish_reason, meters, charge_nano, basis, cost_nano, ttft_ms, total_ms, flags, project,
        tags, customer, client_app, end_user""",
    "billing_hold": """id, organisation_id, amount_nano, state, opened_at, expires_at, resolved_at,
        posted""",
    "billing_posting": """id, idempotency_id, attempt_id, kind, organisation_id, cause, actor,
        created_at, account_ids, amounts_nano""",
}
_NULL: Final = r"\N"
_HOLD_LIFE: Final = dt.timedelta(hours=1)
_MOVE: Final = """
    UPDATE billing_account account SET balance_nano = balance_nano + moved.nano
    FROM unnest(%s::bigint[], %s::bigint[]) AS moved (id, nano) WHERE account.id = moved.id"""
_LAST_USES: Final = """
    INSERT INTO accounts_secretuse (digest, organisation_id, key_id, at, address, client)
    SELECT key.digest, key.organisation_id, key.id, max(r.bucket_at), '192.0.2.7', 'demo'
    FROM usage_rollup r JOIN accounts_key key ON key.id = r.key_id GROUP BY key.id
    ON CONFLICT (digest) DO NOTHING"""


@dataclass
class _Lines:
    """Rows to copy, by table, and by how much the accounts move with them."""

    rows: dict[str, list[str]] = field(default_factory=lambda: {table: [] for table in _COLUMNS})
    moved: dict[int, int] = field(default_factory=dict)

    def add(self, table: str, *values: object) -> None:
        self.rows[table].append("\t".join(map(str, values)))

    def post(
        self,
        id: str,
        names: tuple[str, str],
        kind: str,
        organisation_id: UUID,
        at: dt.datetime,
        entries: Iterable[tuple[int, int]],
    ) -> None:
        """A posting with its entries, (account, nano) each, and the balances moved by them (I3).
        Of its `names`, the idempotency id and the attempt, one is null."""
        accounts, nanos = zip(*entries, strict=True)
        self.add(
            "billing_posting", id, *names, kind, organisation_id, "{}", "", at, _array(accounts),
            _array(nanos),
        )  # fmt: skip
        for account, nano in zip(accounts, nanos, strict=True):
            self.moved[account] = self.moved.get(account, 0) + nano

    def write(self) -> None:
        with connection.cursor() as cursor:
            for table, columns in _COLUMNS.items():
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("".join(f"{line}\n" for line in self.rows[table]))
                self.rows[table].clear()
            cursor.execute(_MOVE, [list(self.moved), list(self.moved.values())])
        self.moved.clear()


class _Book:
    """Makes the rows of requests, in the order of time."""

    def __init__(
        self,
        rng: random.Random,
        senders: list[_Sender],
        models: list[_Model],
        channels: list[tuple[UUID, str]],
    ) -> None:
        self._rng = rng
        self._senders, self._models, self._channels = senders, models, channels
        self._lines = _Lines()

    def add_hour(self, hour_at: dt.datetime, count: int) -> None:
        """So many requests of the hour."""
        rng = self._rng
        # What is used most has the least rank, as words in a language have it.
        picked = zip(
            sorted(rng.randrange(3_590_000) for _ in range(count)),
            rng.choices(self._senders, [1 / (n + 1) for n in range(len(self._senders))], k=count),
            rng.choices(self._models, [1 / (n + 1) for n in range(len(self._models))], k=count),
            rng.choices(list(_ENDS), list(_ENDS.values()), k=count),
            strict=True,
        )
        for ms, sender, model, end in picked:
            at = hour_at + dt.timedelta(milliseconds=ms)
            self._add(at, sender, model, rng.choice(model.shapes), end)

    def write(self) -> None:
        self._lines.write()

    def _add(
        self, at: dt.datetime, sender: _Sender, model: _Model, shape: _Shape, end: str
    ) -> None:
        request_id = self._id(at)
        if end == "refused":
            self._refuse(request_id, at, sender, model)
            return
        n = 1
        if end == "retried":
            self._attempt(request_id, n, at, sender, model, shape, "failed", final=False)
            at += dt.timedelta(milliseconds=250)
            n = 2
        self._attempt(request_id, n, at, sender, model, shape, end, final=True)

    def _attempt(
        self,
        request_id: str,
        n: int,
        at: dt.datetime,
        sender: _Sender,
        model: _Model,
        shape: _Shape,
        end: str,
        *,
        final: bool,
    ) -> None:
        id, lines, organisation_id = self._id(at), self._lines, sender.organisation_id
        channel_id, channel_name = self._channels[(len(model.name) + n) % len(self._channels)]
        stream = shape.total_ms % 2 == 0
        who = (sender.team_id, sender.key_id, _or_null(sender.user_id), model.name)
        sent = (
            channel_id, channel_name, model.name, "openai", "chat", stream, "api",
            model.charge_version, model.cost_version, shape.hold_nano, at,
        )  # fmt: skip
        counted_to = self._counted_to(request_id)
        lines.add("usage_attempt", organisation_id, id, request_id, n, *who, *sent, *counted_to)
        ended_at = at + dt.timedelta(milliseconds=shape.total_ms)
        failed = end == "failed"
        charge, cost = (0, 0) if failed else (shape.charge_nano, shape.cost_nano)
        ended: tuple[object, ...]
        if failed:
            ended = (502, "upstream_error", "", "", "{}", 0, "none", _NULL, _NULL)
        else:
            status = 499 if end == "stopped" else 200
            kind = "client_closed" if end == "stopped" else _NULL
            reason = "" if end == "stopped" else "stop"
            ended = (
                status, kind, "", reason, shape.meters, charge, "measured", cost, shape.ttft_ms,
            )  # fmt: skip
        lines.add(
            "usage_usagerecord", organisation_id, id, request_id, final, *who, *sent, ended_at,
            *ended, shape.total_ms, "{}", *counted_to,
        )  # fmt: skip
        state, word = ("voided", "void") if failed else ("settled", "settle")
        lines.add(
            "billing_hold", id, organisation_id, shape.hold_nano, state, at, at + _HOLD_LIFE,
            ended_at, False,
        )  # fmt: skip
        accounts = sender.accounts
        available = accounts["customer:available"]
        if failed:
            moved = [(available, 0), (accounts["customer:held"], 0)]
        else:
            moved = [
                (available, -charge),
                (accounts["revenue"], charge),
                (accounts["provider:cost"], -cost),
                (accounts["provider:payable"], cost),
            ]
        lines.post(self._id(ended_at), (_NULL, id), word, organisation_id, ended_at, moved)

    def _refuse(self, id: str, at: dt.datetime, sender: _Sender, model: _Model) -> None:
        self._lines.add(
            "usage_usagerecord", sender.organisation_id, id, id, True, sender.team_id,
            sender.key_id, _or_null(sender.user_id), model.name, _NULL, "", "", "openai", "chat",
            True, "api", _NULL, _NULL, 0, at, at, 429, "rate_limited", "", "", "{}", 0, "none",
            _NULL, _NULL, 2, "{}", *self._counted_to(id),
        )  # fmt: skip

    def _counted_to(self, request_id: str) -> tuple[str, ...]:
        """The labels, application and end user of a request: the same for all its rows."""
        n = int(request_id[-6:], 16)
        tags = _TAGS[n % len(_TAGS)]
        customer = n % _CUSTOMERS
        return (
            _PROJECTS[n // 7 % len(_PROJECTS)], json.dumps(tags) if tags else _NULL,
            f"customer-{customer}" if customer else "", _APPS[n // 3 % len(_APPS)],
            f"user-{n % 1000}" if n % 3 == 0 else "",
        )  # fmt: skip

    def _id(self, at: dt.datetime) -> str:
        """An id as it would have been made then."""
        milliseconds = int(at.timestamp() * 1000)
        bits = self._rng.getrandbits(72)
        return (
            f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{bits & 0xFFF:03x}-"
            f"8{bits >> 12 & 0xFFF:03x}-{bits >> 24:012x}"
        )


def _array(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _or_null(value: object) -> object:
    return _NULL if value is None else value
