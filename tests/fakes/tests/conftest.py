from collections.abc import Iterator

import pytest

from tests.fakes.upstream import FakeUpstream


@pytest.fixture(scope="package")
def running() -> Iterator[FakeUpstream]:
    with FakeUpstream("a", fsync=False) as fake:
        yield fake


@pytest.fixture
def fake(running: FakeUpstream) -> FakeUpstream:
    """The same server for all tests, with empty books."""
    running.reset()
    return running
