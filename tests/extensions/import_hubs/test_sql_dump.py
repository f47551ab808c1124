"""Dumps of MySQL and Postgres: what the servers' own programs write, read back exactly."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions.import_hubs import databases
from extensions.import_hubs.databases import DatabaseUnreadable, open_database
from extensions.import_hubs.sql_dump import DumpInvalid, read_dump

# As mysqldump 8.0 and mariadb-dump 10.11 write it.
MYSQL = r"""-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `users`;
CREATE TABLE `users` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `username` varchar(191) DEFAULT NULL COMMENT 'one, (two); three',
  `quota` decimal(10,2) DEFAULT '0.00',
  `group` varchar(64) DEFAULT 'default',
  `raw` blob,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uni_users_username` (`username`),
  KEY `idx` (`group`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
LOCK TABLES `users` WRITE;
/*!40000 ALTER TABLE `users` DISABLE KEYS */;
INSERT INTO `users` VALUES (1,'O\'Brien; -- no',-17.50,'a\\b\n\"c\"',0x6162),
(2,'''quoted''',1e3,NULL,_binary 'x');
INSERT INTO `users` (`id`, `username`) VALUES (3,'小明');
UNLOCK TABLES;
CREATE TABLE `logs` (`id` bigint);
INSERT INTO `logs` VALUES (1),(2),(3);
"""

POSTGRES = r"""--
-- PostgreSQL database dump
--
\restrict abc
SET standard_conforming_strings = on;
CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $_$ begin; INSERT INTO x; end $_$;
CREATE TABLE public.users (
    id bigint NOT NULL,
    username text,
    "group" character varying(64) DEFAULT 'default'::character varying,
    CONSTRAINT users_check CHECK ((id > 0))
);
COPY public.users (id, username, "group") FROM stdin;
1	tab\there; 'quote' \\back	\N
2	line\nline	vip
\.
INSERT INTO public.users VALUES (3, 'it''s; C:\new', E'a\'b\n');
INSERT INTO public.users (id, username) VALUES (4, NULL);
\unrestrict abc
"""


def test_mysql_dump_of_its_own_program() -> None:
    tables = read_dump(MYSQL, {"users"})
    assert tables["users"].rows == [
        {"id": 1, "username": "O'Brien; -- no", "quota": Decimal("-17.50"),
         "group": 'a\\b\n"c"', "raw": b"ab"},
        {"id": 2, "username": "'quoted'", "quota": Decimal("1e3"), "group": None, "raw": "x"},
        {"id": 3, "username": "小明"},
    ]  # fmt: skip
    assert (tables["logs"].count, tables["logs"].rows) == (3, [])


def test_postgres_dump_of_its_own_program() -> None:
    tables = read_dump(POSTGRES, {"users"})
    assert tables["users"].rows == [
        {"id": "1", "username": "tab\there; 'quote' \\back", "group": None},
        {"id": "2", "username": "line\nline", "group": "vip"},
        {"id": 3, "username": "it's; C:\\new", "group": "a'b\n"},
        {"id": 4, "username": None},
    ]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (1,2);", "line 2 .*1 values"),
        ("INSERT INTO `t` VALUES (1);", "the columns"),
        ("CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (now());", "line 2 .*a value"),
        ("CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES ('cut", "a string that ends"),
        ("CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (1)", ", or ;"),
        ("CREATE TABLE t (a int);\nCOPY t (a) FROM stdin;\n1\n", "cut off"),
        ("CREATE TABLE t (a int);\nCOPY t (a) FROM stdin;\n1\t2\n\\.\n", "1 values"),
    ],
)
def test_truncated_or_unknown_dump_is_rejected_with_its_line(sql: str, words: str) -> None:
    with pytest.raises(DumpInvalid, match=words):
        read_dump(sql, {"t"})


def _mysql(text: str) -> str:
    """A literal as MySQL's client escapes it (mysql_real_escape_string)."""
    for old, new in (
        ("\\", "\\\\"), ("\0", "\\0"), ("\n", "\\n"), ("\r", "\\r"), ("\x1a", "\\Z"),
        ("'", "\\'"), ('"', '\\"'),
    ):  # fmt: skip
        text = text.replace(old, new)
    return f"'{text}'"


def _copied(text: str) -> str:
    for old, new in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NULL", None), ("TRUE", True), ("false", False), ("7", 7), ("-7", -7), ("+7", 7),
        ("-17.50", Decimal("-17.50")), ("1e3", Decimal("1e3")), ("0x6162", b"ab"),
        ("0x161", b"\x01a"), ("N'x'", "x"), ("_binary 'x'", "x"), ("'it''s'", "it's"),
    ],
)  # fmt: skip
def test_value_is_read_as_its_type(written: str, value: object) -> None:
    sql = f"CREATE TABLE `t` (`a` int, `b` int);\nINSERT INTO `t` VALUES ({written},{written});"
    (row,) = read_dump(sql, {"t"})["t"].rows
    assert row == {"a": value, "b": value}
    assert type(row["a"]) is type(value)


TEXTS = st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=20), max_size=6)


@given(TEXTS)
def test_every_text_comes_back_from_mysql(texts: list[str]) -> None:
    rows = ",".join(f"({n},{_mysql(text)})" for n, text in enumerate(texts))
    sql = "CREATE TABLE `t` (`n` int, `text` text);\n" + (
        f"INSERT INTO `t` VALUES {rows};\n" if texts else ""
    )
    assert [row["text"] for row in read_dump(sql, {"t"})["t"].rows] == texts


@given(TEXTS)
def test_every_text_comes_back_from_postgres(texts: list[str]) -> None:
    kept = [text.replace("\0", "") for text in texts]
    lines = "".join(f"{n}\t{_copied(text)}\n" for n, text in enumerate(kept))
    quoted = "".join(
        f"INSERT INTO t VALUES ({n}, '{text.replace(chr(39), chr(39) * 2)}');\n"
        for n, text in enumerate(kept)
    )
    sql = f"-- PostgreSQL database dump\nCREATE TABLE t (n int, text text);\n{quoted}"
    sql += f"COPY t (n, text) FROM stdin;\n{lines}\\.\n"
    assert [row["text"] for row in read_dump(sql, {"t"})["t"].rows] == kept * 2


def test_running_postgres_without_revealing_its_password() -> None:
    with pytest.raises(DatabaseUnreadable) as refused:
        open_database("postgresql://user:hidden-word@127.0.0.1:1/db", {"users"})
    assert "hidden-word" not in str(refused.value)


def test_database_that_is_in_use_is_read_with_its_last_changes(tmp_path: Path) -> None:
    path = tmp_path / "used.db"
    connection = sqlite3.connect(path)
    try:
        connection.executescript(
            "PRAGMA journal_mode=wal; CREATE TABLE users (id, name DEFAULT 'x', n DEFAULT 7);"
            "INSERT INTO users (id) VALUES (1);"
            "CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT);"
            "INSERT INTO logs DEFAULT VALUES; INSERT INTO logs DEFAULT VALUES;"
        )
        database = open_database(str(path), {"users"})
        assert database.rows == {"users": [{"id": 1, "name": "x", "n": 7}]}
        # Not those of SQLite itself.
        assert database.others == {"logs": 2}
        assert database.defaults == {"users": {"name": "x", "n": "7"}}
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("content", "bytes_max", "words"),
    [
        (b"", 9, "is neither a SQLite database nor a dump with tables"),
        (b"-- nothing", 10, "is neither a SQLite database nor a dump with tables"),
        (b"PGDMP\xff", 9, "nor a dump in UTF-8 (plain SQL, not pg_dump's"),
        (b"0" * ((3 << 20) + 1), 3 << 20, "has more than 3 MiB. Dump only what is imported: the"
         " tables apples birds users."),
        (b"SQLite format 3\x00", 99, "cannot be read as SQLite: "),
        (None, 9, "cannot be read: No such file or directory."),
    ],
)  # fmt: skip
def test_unreadable_file_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, bytes_max: int,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(databases, "_DUMP_MAX", bytes_max)
    path = tmp_path / "peer"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatabaseUnreadable) as refused:
        open_database(str(path), ["users", "birds", "apples"])
    assert str(refused.value).startswith(str(path))
    assert words in str(refused.value)
