"""One Chromium for all tests of a process that drive it: starting it takes longer than a test may.

Playwright keeps a loop running in this thread, in which no asynchronous test and no query could
run: while nobody drives the browser, the thread does not know of that loop. Between its calls
Playwright hides it in the same way.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What is waited for comes; how soon is no matter of this machine's other work.
PATIENCE_MS = 30_000


@dataclass(frozen=True)
class Running:
    browser: "Browser"
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def driven(self) -> "Iterator[Browser]":
        """For as long as no asynchronous test and no query of this thread comes between."""
        asyncio._set_running_loop(self.loop)
        try:
            yield self.browser
        finally:
            asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def running_chromium() -> Iterator[Running]:
    # Runs without a browser need not wait for these.
    from playwright.sync_api import expect

    from tests.browser.visitor import open_browser

    expect.set_options(timeout=PATIENCE_MS)
    with open_browser() as browser:
        running = Running(browser, asyncio.get_running_loop())
        asyncio._set_running_loop(None)
        yield running
        asyncio._set_running_loop(running.loop)
