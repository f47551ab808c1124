"""What `make bench` measures is there to be measured."""

import pytest

from tests.bench.hub import BareWeb, Web, web
from tests.support.hub import Hub, authority, hub

__all__ = ["authority", "hub"]


@pytest.mark.parametrize("kind", [Web, pytest.param(BareWeb, marks=pytest.mark.slow)])
def test_the_web_process_of_production_starts(hub: Hub, kind: type[Web]) -> None:
    with web(kind, hub.dsn) as served:
        assert served.get("/readyz").status == 200
