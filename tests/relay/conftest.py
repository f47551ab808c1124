from collections.abc import Iterator

import pytest

from tests.relay.clients import clients, openai_client
from tests.support.hub import Hub, authority, fake, hub, other_fake, own_hub

__all__ = ["authority", "clients", "fake", "hub", "openai_client", "other_fake", "own_hub"]


@pytest.fixture(autouse=True)
def _forgotten(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test adds to the session's catalogue ends with the test."""
    if "hub" not in request.fixturenames:
        yield
        return
    running: Hub = request.getfixturevalue("hub")
    with running.forgetful():
        yield


@pytest.fixture(scope="module")
def balanced_books(hub: Hub) -> Iterator[None]:
    """The books balance after all tests of the module: each has an organisation of its own, and
    nothing that is written into the books is ever taken away."""
    yield
    hub.assert_books_balance()
