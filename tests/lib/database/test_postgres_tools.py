"""With which programs, and which connection parameters, Postgres of each version is reached."""

import os

import psycopg
import pytest
from psycopg import pq

from lib.database import postgres_tools
from lib.database.postgres_tools import SINCE, Login, Tool, ToolError, find_tool, login_of
from tests.runner.postgres_versions import SUPPORTED

# What the client library of PostgreSQL 15 knows.
OF_15 = """
    application_name channel_binding client_encoding connect_timeout dbname
    fallback_application_name gssencmode gsslib host hostaddr keepalives keepalives_count
    keepalives_idle keepalives_interval krbsrvname options passfile password port
    replication requirepeer service ssl_max_protocol_version ssl_min_protocol_version
    sslcert sslcompression sslcrl sslcrldir sslkey sslmode sslpassword sslrootcert sslsni
    target_session_attrs tcp_user_timeout user
"""


def login(**parameters: str) -> Login:
    return Login({"host": "db.example", "application_name": "weir backup", **parameters}, "")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = [Tool(f"/{major}/pg_dump", major) for major in reversed(SUPPORTED)]
    monkeypatch.setattr(postgres_tools, "_find_installed", lambda name: iter(tools))


@pytest.mark.parametrize("server", SUPPORTED)
def test_program_gets_only_parameters_its_version_knows(installed: None, server: int) -> None:
    """Each version's own program takes a connection that says nothing special. Where the settings
    say more, the oldest program that knows it is taken."""
    assert find_tool("pg_dump", server, login()).major == server
    for parameter, since in SINCE.items():
        assert find_tool("pg_dump", server, login(**{parameter: "x"})).major == max(server, since)


def test_unknown_parameter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    old = [Tool("/usr/bin/pg_dump", 15)]
    monkeypatch.setattr(postgres_tools, "_find_installed", lambda name: iter(old))
    expected = "pg_dump 16 or newer is needed for this database and its connection's require_auth"
    with pytest.raises(ToolError, match=expected):
        find_tool("pg_dump", 15, login(require_auth="scram-sha-256"))


def test_ordinary_connection_suits_every_version() -> None:
    """Our own client library, of version 18, says more of a connection than what it was given."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        assert login_of(connection).major_min <= min(SUPPORTED)
    with psycopg.connect(os.environ["DATABASE_URL"], sslcertmode="disable") as connection:
        login_value = login_of(connection)
        assert login_value.parameters["sslcertmode"] == "disable"
        assert login_value.major_min == 16


def test_the_table_has_every_parameter_of_our_client_library() -> None:
    """A library newer than 18 may bring more: the table is then to be extended."""
    ours = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    assert ours == {*OF_15.split(), *SINCE}
