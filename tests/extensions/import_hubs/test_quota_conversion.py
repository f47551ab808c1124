"""The same database, kept by SQLite, MySQL or Postgres, becomes the same things."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions.import_hubs.converted import Converted
from extensions.import_hubs.databases import Database, open_database
from extensions.import_hubs.new_api import hubs as quota_hubs
from extensions.import_hubs.new_api.channel_types import Peer
from extensions.import_hubs.new_api.columns import COLUMNS as QUOTA_COLUMNS
from extensions.import_hubs.report import serialize_report
from extensions.import_hubs.values import Row
from tests.extensions.import_hubs.databases import FOLDER, read, sqlite_file

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def _as_mysql(database: Database) -> str:
    """The rows as mysqldump writes them."""
    statements = ["-- MySQL dump 10.13"]
    for table, rows in database.rows.items():
        if not rows:
            continue
        defaults = database.defaults[table]
        columns = ", ".join(
            f"`{column}` text" + (f" DEFAULT '{defaults[column]}'" if column in defaults else "")
            for column in rows[0]
        )
        statements.append(f"CREATE TABLE `{table}` ({columns});")
        for row in rows:
            statements.append(
                f"INSERT INTO `{table}` VALUES ({', '.join(map(_literal, row.values()))});"
            )
    return "\n".join(statements) + "\n"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _as_postgres(database: Database) -> str:
    """The rows as pg_dump writes them."""
    statements = ["-- PostgreSQL database dump"]
    for table, rows in database.rows.items():
        if not rows:
            continue
        columns = ", ".join(f'"{column}"' for column in rows[0])
        defaults = database.defaults[table]
        typed = ", ".join(
            f'"{column}" text'
            + (f" DEFAULT '{defaults[column]}'::text" if column in defaults else "")
            for column in rows[0]
        )
        statements.append(f"CREATE TABLE public.{table} ({typed});")
        statements.append(f"COPY public.{table} ({columns}) FROM stdin;")
        statements += ["\t".join(map(_copied, row.values())) for row in rows]
        statements.append("\\.")
    return "\n".join(statements) + "\n"


def _copied(value: object) -> str:
    if value is None:
        return "\\N"
    return str(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _converted(peer: Peer, database: Database) -> tuple[object, ...]:
    converted: Converted = quota_hubs.convert(peer, database, frozenset(), NOW)
    message = serialize_report(converted.report)
    message.pop("tables_left")
    return converted.plans, converted.channels, converted.prices, converted.organisations, message


@pytest.mark.parametrize("peer", ["new-api", "one-api"])
@pytest.mark.parametrize("form", [_as_mysql, _as_postgres])
def test_dump_converts_like_the_file(peer: Peer, form: object, tmp_path: Path) -> None:
    file = read(peer, sqlite_file(peer, tmp_path))
    dump = tmp_path / "dump.sql"
    dump.write_text(form(file))  # type: ignore[operator]
    assert _converted(peer, open_database(str(dump), quota_hubs.TABLES)) == _converted(peer, file)


@pytest.mark.parametrize("peer", ["new-api", "one-api"])
@pytest.mark.parametrize("server", ["mariadb", "postgres"])
def test_dump_by_a_servers_own_program(peer: Peer, server: str, tmp_path: Path) -> None:
    """Tables as GORM's own migrator makes them for each server, dumped by that server's program."""
    dump = open_database(str(FOLDER / f"{peer.replace('-', '_')}.{server}.sql"), quota_hubs.TABLES)
    there = quota_hubs.convert(peer, dump, frozenset(), NOW)
    file = quota_hubs.convert(peer, read(peer, sqlite_file(peer, tmp_path)), frozenset(), NOW)
    for part in ("plans", "channels", "prices", "organisations"):
        assert getattr(there, part) == getattr(file, part), part
    assert [code.value_nano for code in there.codes] == [10**9 if peer == "new-api" else 200_000]
    assert not any(organisation.closed for organisation in there.organisations)
    people = [one for organisation in there.organisations for one in organisation.members]
    assert {(one.role, one.teams) for one in people} == {("owner", None)}
    columns = {
        column: QUOTA_COLUMNS[table].meaning_of(column)
        for table, rows in dump.rows.items()
        for row in rows
        for column in row
    }
    assert "unknown" not in columns.values(), columns


@given(st.lists(st.integers(-(2**40), 2**40), max_size=8), st.integers(1, 10**7))
def test_every_unit_is_accounted_for(quotas: list[int], per_usd: int) -> None:
    users: list[Row] = [
        {"id": n, "username": f"u{n}", "status": 1 + n % 3, "quota": quota, "group": "default"}
        for n, quota in enumerate(quotas)
    ]
    options: list[Row] = [{"key": "QuotaPerUnit", "value": str(per_usd)}]
    rows: dict[str, list[Row]] = {"users": users, "tokens": [], "channels": [], "options": options}
    converted = quota_hubs.convert("new-api", Database(rows, {}), frozenset(), NOW)
    money = converted.report.money
    imported = sum(each.balance_nano for each in converted.organisations)
    assert money.peer_nano - money.left_behind_nano - money.rounded_nano == imported
    # Half a nano at the most for each user.
    assert abs(money.rounded_nano) <= len(quotas)
    assert len(converted.organisations) == sum(1 for user in users if user["status"] != 3)
