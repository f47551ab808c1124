"""Programs that tests drive, and that a machine may lack, such as nginx, Redis, Chromium, Node.js.

A test without its program is skipped, and the last lines of the run say how many are and how to get
the programs. Where everything must run, with `ALL=1` or `CI=true`, it fails.
"""

import os
from typing import Final, NoReturn

import pytest

from stack.test_programs import javascript, servers

_HOW: Final = "make test-tools installs it"
_MUST_RUN: Final = bool(os.environ.get("ALL")) or os.environ.get("CI") == "true"


def lack(program: str) -> NoReturn:
    """Skip the test, or fail it where everything must run."""
    message = f"{program} is missing; {_HOW}"
    if _MUST_RUN:
        pytest.fail(message)
    pytest.skip(reason=message)


def need(program: str) -> str:
    """Return the path of a program; see `lack`."""
    return servers.find(program) or lack(program)


def need_javascript_clients() -> None:
    if missing := javascript.missing():
        lack(f"what the JavaScript clients need ({missing})")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if count := sum(_HOW in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(
            f"{count} tests were skipped because their program is missing. `make test-tools` "
            "installs what is missing; it asks before it uses sudo."
        )
