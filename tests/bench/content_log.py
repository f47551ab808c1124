"""What the content log takes on the disk, and how long readers wait for it, by the number of
entries.

    make bench-content-log                                          10⁶ entries of 4 KB
    make bench-content-log ARGS="--entries 10000000 --bytes 200"    others

The entries are spread over 30 days and the keys of `manage.py demo_data`, half of them in one
organisation. Each has a text of its own, sealed with the data key of its person for its own place
as the relay seals it. One in a hundred thousand is of a rare model and has a rare word, one in ten
a frequent one. The pages of the console are asked for before the log is emptied and after it.
"""

import argparse
import datetime as dt
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from tests.bench import hub, machine, peers
from tests.bench.spread import median

if TYPE_CHECKING:
    from accounts.access.actors import Actor
    from tests.bench.growth import Installation

ROOT: Final = Path(__file__).parents[2]
DAYS: Final = 30
RARE_EVERY: Final = 100_000
FREQUENT_EVERY: Final = 10
RARE_MODEL: Final = "rare-model"
_RUNS: Final = 5
_RETENTION_HOURS: Final = DAYS * 24
_BODIES: Final = 4_000
_REQUESTS: Final = 100_000
_PAGE_ROWS: Final = 50
# How much of a text the answer is.
_ANSWER_SHARE: Final = 4
_CONSOLE: Final = {
    "Requests, 30 days": "requests",
    "Requests, 30 days, failed": "requests?status=error",
    "Usage, 30 days": "usage",
    "Home, its shell": "",
}
_SIZES: Final = """
    SELECT sum(pg_relation_size(part)), sum(pg_table_size(part) - pg_relation_size(part)),
           sum(pg_indexes_size(part)), sum(pg_total_relation_size(part)), count(*)
    FROM (SELECT inhrelid AS part FROM pg_inherits
          WHERE inhparent = 'content_entry'::regclass) parts"""
_COLUMNS: Final = {
    "drop_at": "timestamptz", "request_id": "uuid", "created_at": "timestamptz",
    "expires_at": "timestamptz", "organisation_id": "uuid", "team_id": "uuid", "key_id": "uuid",
    "user_id": "int8", "model": "varchar", "dialect": "varchar", "operation": "varchar",
    "status": "int2", "data_key_id": "uuid", "content_bytes": "int4", "sealed": "bytea",
}  # fmt: skip
_SENDERS: Final = """
    SELECT organisation_id, team_id, key_id, user_id, model, status
    FROM usage_usagerecord WHERE final ORDER BY id"""
_LOCKS: Final = """
    SELECT relation::regclass::text, mode FROM pg_locks
    WHERE pid = pg_backend_pid() AND relation = ANY (%s::regclass[]) ORDER BY 1, 2"""


class Asked(NamedTuple):
    """The quickest of all runs and their median, in milliseconds, and what was found."""

    best_ms: float
    median_ms: float
    found: str = ""


class Dropped(NamedTuple):
    """A day that was dropped: its entries, milliseconds, the locks, and how long the slowest
    statement of a writer and of a reader beside it took, while nothing was dropped and then."""

    entries: int
    took_ms: float
    locks: list[list[str]]
    before_ms: float
    meanwhile_ms: float


class Found(NamedTuple):
    """What was measured."""

    entries: int
    content_bytes: int
    sealed_bytes: int
    filled_s: float
    sizes: list[int]
    lists: dict[str, Asked]
    searches: dict[str, Asked]
    console: dict[str, list[float]]
    dropped: Dropped


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench-content-log")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=4_096)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.measure:
        sys.stdout.write(json.dumps(measure(asked.entries, asked.bytes)))
        return
    from stack.database import postgres

    hub.make_secrets()
    others = machine.Others()
    with (
        tempfile.TemporaryDirectory(dir=peers.cache()) as folder,
        postgres.server(Path(folder) / "pg", durable=True) as dsn,
    ):
        found = of(dsn, [f"--entries={asked.entries}", f"--bytes={asked.bytes}"])
    today = dt.datetime.now(dt.UTC).date()
    sys.stdout.write(
        f"{table(found)}\n\nMeasured on {today}, on {machine.machine_line()}; {others.line()}.\n"
    )


def of(dsn: str, numbers: Sequence[str]) -> Found:
    """What is measured in a database of its own."""
    own = {**os.environ, "DATABASE_URL": make_conninfo(dsn, dbname="content_log")}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=own,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as connection:
        # Else it is written to the disk anew every gigabyte.
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute('CREATE DATABASE "content_log"')
    run("manage.py", "migrate", "--verbosity=0", "--skip-checks")
    run("manage.py", "demo_data", f"--rows={_REQUESTS}", f"--days={DAYS}")
    return read_found(run("-m", "tests.bench.content_log", "--measure", *numbers))


def read_found(text: str) -> Found:
    """What `--measure` has printed."""
    found = Found(*json.loads(text))
    return found._replace(
        lists={name: Asked(*asked) for name, asked in found.lists.items()},
        searches={name: Asked(*asked) for name, asked in found.searches.items()},
        dropped=Dropped(*found.dropped),
    )


# Measuring ----------------------------------------------------------------------------------------


def measure(entries: int, size: int) -> Found:
    """Fill the installation of DATABASE_URL and measure it."""
    from tests.bench.growth import Installation

    here = Installation()
    begun = time.monotonic()
    content_bytes, sealed_bytes = fill(entries, size)
    filled_s = time.monotonic() - begun
    lists, searches = _read(_reader(here))
    sizes, dropped = [int(number) for number in _row(_SIZES)], _drop_day()
    with_them = _console(here)
    _empty()
    without = _console(here)
    console = {name: [*without[name], *with_them[name]] for name in _CONSOLE}
    return Found(
        entries, content_bytes, sealed_bytes, filled_s, sizes, lists, searches, console, dropped
    )


def _console(here: "Installation") -> dict[str, tuple[float, float]]:
    """Of each page the processor time and how long somebody waits for it, in milliseconds."""
    costs = {name: here.cost_of(partial(here.read, path)) for name, path in _CONSOLE.items()}
    return {name: (cost.cpu_ms, cost.wall_ms) for name, cost in costs.items()}


def _empty() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE content_entry")


def _timed(work: Callable[[], object]) -> Asked:
    """After one run more, for statements are planned and pages are read into memory then."""
    found, times = work(), list[float]()
    for _ in range(_RUNS):
        begun = time.perf_counter()
        found = work()
        times.append((time.perf_counter() - begun) * 1000)
    return Asked(min(times), median(times), "" if found is None else str(found))


def _row(query: str, *parameters: Any) -> Sequence[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchone() or ()


def _reader(here: "Installation") -> "Actor":
    """A member of the largest organisation who may read contents."""
    from accounts.access.actors import SYSTEM, actor_of_member, memberships
    from accounts.custom_roles import custom_roles
    from accounts.members import members
    from accounts.models import Organisation, Role

    organisation = Organisation.objects.get(slug="demo-1")
    permissions = ["content.read", "requests.read", "usage.read"]
    role = custom_roles.create_role(organisation, "Reader", permissions, actor=SYSTEM)
    email = "person-1-2@demo.example"
    members.set_member(organisation, email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    membership = memberships().get(user__email=email, organisation=organisation)
    return actor_of_member(membership.user, organisation, membership)


def _read(actor: "Actor") -> tuple[dict[str, Asked], dict[str, Asked]]:
    """Lists and searches of the content log, by name."""
    from django.http import QueryDict

    from content.log import log
    from usage.contents.contents import entries_among, entries_of, read_filter

    def selected(query: str) -> tuple[Any, Any]:
        """What a filter selects, and what it selects it from."""
        usage_filter = read_filter(QueryDict(query).lists())
        span, scope = usage_filter.span, usage_filter.scope
        return entries_of(actor, span, scope), entries_among(actor, span, scope)

    def first_page(query: str) -> str:
        plan = log._plan(*selected(query), "", _PAGE_ROWS, log.LOOKED_AT_BYTES_MAX)
        return f"{len(plan.rows)} entries{', more' if plan.edge else ''}"

    def search(query: str, text: str) -> str:
        entries, among = selected(query)
        result = log.search(actor, entries, text, "a measurement", among=among)
        whether = "more" if result.next else "all"
        return f"{len(result.hits)} hits, {result.looked_at:,} looked at, {whether}"

    def conversation() -> None:
        log.read_entry(actor, request_id, "a measurement")

    key, team, request_id = _row("""
        SELECT key_id, t.slug, max(request_id::text)::uuid FROM content_entry e
        JOIN accounts_organisation o ON o.id = organisation_id AND o.slug = 'demo-1'
        JOIN accounts_team t ON t.id = team_id
        GROUP BY 1, 2 ORDER BY count(*) LIMIT 1""")
    filters = {
        "30 days": "range=30d",
        "a frequent model": "range=30d&model=demo-model-1",
        "a rare model": f"range=30d&model={RARE_MODEL}",
        "a model that has none": "range=30d&model=nothing",
        "only failed": "range=30d&status=error",
        "only failed, a rare model": f"range=30d&status=error&model={RARE_MODEL}",
        "the key with the fewest": f"range=30d&key={_id_text(key)}",
        "a person": "range=30d&user=person-1-8@demo.example",
        "a team": f"range=30d&team={team}",
        "one day, three weeks ago": _day_ago(21),
    }
    lists = {name: _timed(partial(first_page, query)) for name, query in filters.items()}
    searches = {
        "a frequent word": _timed(partial(search, "range=30d", "frequentword")),
        "a rare word": _timed(partial(search, "range=30d", "rareword")),
        "a rare word, of a rare model": _timed(
            partial(search, f"range=30d&model={RARE_MODEL}", "rareword")
        ),
        "a rare word, of a model that has none": _timed(
            partial(search, "range=30d&model=nothing", "rareword")
        ),
        "a rare word, only failed": _timed(partial(search, "range=30d&status=error", "rareword")),
        "one conversation, by its request": _timed(conversation),
    }
    return lists, searches


def _id_text(id: UUID) -> str:
    from lib.ids import id_text

    return id_text(id)


def _day_ago(days: int) -> str:
    day = (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).date()
    return f"range=custom&from={day}&to={day}"


# Filling ------------------------------------------------------------------------------------------


def fill(entries: int, size: int) -> tuple[int, int]:
    """Write so many entries; return the bytes of one before and after it was packed and sealed, on
    average."""
    from django.db import connection

    from content.data_keys.sealing import place_of_entry, seal
    from content.log.kept import Kept, pack
    from content.rules.rules import drop_at
    from lib.ids import new_id

    rng = random.Random(1)
    with connection.cursor() as cursor:
        cursor.execute(_SENDERS)
        senders = cursor.fetchall()
    data_keys = _data_keys(senders)
    bodies = [_body(rng, size) for _ in range(_BODIES)]
    end_at = dt.datetime.now(dt.UTC)
    step = dt.timedelta(days=DAYS) / entries
    totals = [0, 0]

    def rows() -> Iterator[tuple[Any, ...]]:
        made = set[dt.datetime]()
        for number in range(entries):
            created_at = end_at - step * (entries - number)
            dropped_at = drop_at(created_at, _RETENTION_HOURS)
            made.add(dropped_at)
            organisation, team, key, user, model, status = rng.choice(senders)
            rare = number % RARE_EVERY == RARE_EVERY // 2
            word = "rareword" if rare else "frequentword" if number % FREQUENT_EVERY == 0 else ""
            request, answer = rng.choice(bodies)
            # The number makes every text another one.
            content = Kept(request % f"{number} {word}".encode(), answer)
            request_id, (data_key_id, cipher) = new_id(), data_keys[organisation, key, user]
            sealed = seal(cipher, pack(content), place_of_entry(organisation, request_id))
            count = len(content.request) + len(content.answer)
            totals[0] += count
            totals[1] += len(sealed)
            yield (
                dropped_at, request_id, created_at,
                created_at + dt.timedelta(hours=_RETENTION_HOURS), organisation, team, key, user,
                RARE_MODEL if rare else model, "openai", "chat_completions", status, data_key_id,
                count, sealed,
            )  # fmt: skip

    days = {drop_at(end_at - dt.timedelta(days=day), _RETENTION_HOURS) for day in range(DAYS + 1)}
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
        for day in days:
            own.execute("SELECT content_make_partition(%s)", [day])
        copy = f"COPY content_entry ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
        with own.cursor() as writing, writing.copy(copy) as target:
            target.set_types(list(_COLUMNS.values()))
            for row in rows():
                target.write_row(row)
        own.execute("VACUUM (ANALYZE) content_entry")
    return totals[0] // entries, totals[1] // entries


def _data_keys(senders: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, Any, Any], tuple[UUID, Any]]:
    """The data keys of all who ask, by organisation, key and person."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from accounts.secrets.sealing import vault
    from content.data_keys.sealing import new_data_key, owner_of, place_of_key
    from content.models import DataKey
    from lib.ids import new_id

    by_owner: dict[tuple[Any, str], tuple[UUID, Any]] = {}
    for organisation, _, key, user, _, _ in senders:
        owner = owner_of(user, key)
        if (organisation, owner) not in by_owner:
            id, fresh = new_id(), new_data_key()
            sealed = vault().seal_bytes(fresh, place_of_key(id))
            DataKey.objects.create(id=id, organisation_id=organisation, owner=owner, sealed=sealed)
            by_owner[organisation, owner] = (id, AESGCM(fresh))
    who = {(organisation, key, user) for organisation, _, key, user, _, _ in senders}
    return {one: by_owner[one[0], owner_of(one[2], one[1])] for one in who}


def _body(rng: random.Random, size: int) -> tuple[bytes, bytes]:
    """A chat and its answer, of about that many bytes together; `%b` is the place of a text."""
    answered = size // _ANSWER_SHARE
    answer = {
        "object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": _words(rng, answered)}}
        ],
    }  # fmt: skip
    asked = {"model": "m", "messages": [{"role": "user", "content": "@ "}]}
    raw, tail = json.dumps(asked).encode(), json.dumps(answer).encode()
    words = _words(rng, max(0, size - len(raw) - len(tail)))
    return raw.replace(b"@ ", b"%b " + json.dumps(words)[1:-1].encode()), tail


def _words(rng: random.Random, size: int) -> str:
    """So much of the documents."""
    first = rng.randrange(len(_documents()) - size)
    return _documents()[first : first + size]


@cache
def _documents() -> str:
    """The documents as one text of ASCII, so that a character is a byte."""
    texts = (path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))
    return "\n".join(texts).encode("ascii", "ignore").decode().replace("%", "")


# Dropping -----------------------------------------------------------------------------------------


def _drop_day() -> Dropped:
    """Drop the partition that is dropped first among the full ones, as the job does, while another
    connection reads and writes entries."""
    from django.db import connection, transaction

    from content.log.retention import _partitions
    from lib.database.table_locks import LOCK_WAIT_MS

    name, _ = _partitions()[len(_partitions()) // 2]
    entries = _row(f"SELECT count(*) FROM {name}")[0]
    beside = _Beside()
    try:
        before = beside.slowest_ms(1.0)
        begun = time.perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
            cursor.execute(f"DROP TABLE {name}")
            cursor.execute(_LOCKS.replace("%s", "ARRAY['content_entry']"))
            locks = [list(row) for row in cursor.fetchall()]
        took = (time.perf_counter() - begun) * 1000
        meanwhile = beside.slowest_ms(0.0)
    finally:
        beside.stop()
    return Dropped(entries, took, locks, before, meanwhile)


class _Beside:
    """A connection that reads an entry, and one that writes one, again and again."""

    def __init__(self) -> None:
        self._slowest, self._stopped = 0.0, threading.Event()
        read = "SELECT FROM content_entry ORDER BY request_id DESC LIMIT 1"
        write = f"""
            INSERT INTO content_entry ({", ".join(_COLUMNS)})
            SELECT {", ".join(_COLUMNS).replace("request_id", "gen_random_uuid()")}
            FROM (SELECT * FROM content_entry WHERE drop_at = (
                SELECT max(drop_at) FROM content_entry) LIMIT 1) one"""
        self._threads = [
            threading.Thread(target=self._repeat, args=[query]) for query in (read, write)
        ]
        for thread in self._threads:
            thread.start()

    def _repeat(self, query: str) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
            own.execute(query.encode())
            while not self._stopped.is_set():
                begun = time.perf_counter()
                own.execute(query.encode())
                self._slowest = max(self._slowest, (time.perf_counter() - begun) * 1000)

    def slowest_ms(self, seconds: float) -> float:
        """The slowest statement since the last call, after so long."""
        time.sleep(seconds)
        slowest, self._slowest = self._slowest, 0.0
        return slowest

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


# The tables ---------------------------------------------------------------------------------------


def table(found: Found) -> str:
    """The figures."""
    heap, toast, indexes, total, partitions = found.sizes
    dropped = found.dropped
    locks = ", ".join(f"{mode} of {name}" for name, mode in dropped.locks)
    lines = [
        f"{found.entries:,} entries of {found.content_bytes:,} bytes, sealed "
        f"{found.sealed_bytes:,}, in {partitions} partitions, filled in {found.filled_s:,.0f} s",
        "",
        "| On the disk | MB | bytes an entry |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {size / 1e6:,.0f} | {size / found.entries:,.0f} |"
            for name, size in (
                ("rows", heap), ("texts beside them", toast), ("indexes", indexes),
                ("together", total),
            )
        ),
        "",
        *_times("First 50 of a list", found.lists),
        "",
        *_times("Search", found.searches),
        "",
        "| Page | without entries, ms | with them |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {cpu:,.0f} / {wall:,.0f} | {cpu_with:,.0f} / {wall_with:,.0f} |"
            for name, (cpu, wall, cpu_with, wall_with) in found.console.items()
        ),
        "",
        f"A day of {dropped.entries:,} entries was dropped in {dropped.took_ms:,.0f} ms ({locks}). "
        f"The slowest statement beside it took {dropped.meanwhile_ms:,.0f} ms, and "
        f"{dropped.before_ms:,.0f} ms in the second before.",
    ]  # fmt: skip
    return "\n".join(lines)


def _times(title: str, asked: Mapping[str, Asked]) -> list[str]:
    return [
        f"| {title} | best of {_RUNS}, ms | median | found |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {one.best_ms:,.1f} | {one.median_ms:,.1f} | {one.found} |"
            for name, one in asked.items()
        ),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
