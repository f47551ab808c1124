"""Sessions that tests have left open in their worker's database. Each is named in the last lines of
the run, by what it did last, and ended: the database can be dropped.
"""

from typing import Any, Final

import pytest

from tests import databases

_OPEN: Final = """
    SELECT pid, concat_ws(
        ', ', application_name, state, 'since', state_change::time(0), 'began',
        backend_start::time(0), left(query, 300)
    )
    FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'
"""
_WAIT_MS: Final = 5000
_PLACE: Final = pytest.StashKey[list[str]]()


def end_all(config: pytest.Config, database: str) -> None:
    """End the sessions of a database, and keep what is to be said of them."""
    with databases.admin() as connection:
        rows = connection.execute(_OPEN, [database]).fetchall()
        for pid, _ in rows:
            connection.execute("SELECT pg_terminate_backend(%s, %s)", [pid, _WAIT_MS])
    config.stash.setdefault(_PLACE, []).extend(str(text) for _, text in rows)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_open"] = session.config.stash.get(_PLACE, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    left = getattr(node, "workeroutput", {}).get("left_open", [])
    node.config.stash.setdefault(_PLACE, []).extend(left)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for text in config.stash.get(_PLACE, []):
        terminalreporter.write_line(f"A test left a database session open: {text}")
