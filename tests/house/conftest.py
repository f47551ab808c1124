from collections.abc import Iterator

import pytest

from tests.house.test_style import _walked


@pytest.fixture(autouse=True, scope="package")
def _sources_are_let_go() -> Iterator[None]:
    """Millions of nodes, which every collection of garbage would look through to the end."""
    yield
    _walked.cache_clear()
