"""Every connection has the settings of a session, wherever Postgres runs."""

import pytest
from django.conf import settings
from django.db import connection

from config.celery import app
from lib.database.session import with_session_settings
from lib.env import ConfigurationError


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("postgresql://h/d", "-c jit=off"),
        ("host=h options='-c work_mem=8MB'", "-c jit=off -c work_mem=8MB"),
        # What the operator names comes last, and holds.
        ("postgresql://h/d?options=-c%20jit%3Don", "-c jit=off -c jit=on"),
    ],
)
def test_an_address_gets_the_settings_before_its_own(given: str, options: str) -> None:
    assert f"options='{options}'" in with_session_settings(given)


def test_invalid_address_is_rejected_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="no connection string") as refused:
        with_session_settings("postgresql://weir:a secret@h:x/d?nonsense=1")
    assert "a secret" not in str(refused.value)


@pytest.mark.django_db
def test_no_statement_is_compiled() -> None:
    """Look-ups without sequential scans have costs beyond every limit of the compiler. The client
    says it: a server of production has other defaults."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setting, source FROM pg_settings WHERE name = 'jit'")
        assert cursor.fetchone() == ("off", "client")


def test_every_reader_of_the_address_gets_the_settings() -> None:
    """The relay, listeners, watchers, the queue and pg_dump take it from here."""
    assert "jit=off" in (settings.DATABASE_URL or "")
    assert "jit=off" in app.conf.broker_transport_options["conn_string"]
