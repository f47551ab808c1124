"""What `make bench` measures is there to be measured."""

from pathlib import Path

import pytest

from tests.bench.hub import BareWeb, Web, web
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub, authority, hub

__all__ = ["authority", "hub"]


@pytest.mark.parametrize("kind", [Web, pytest.param(BareWeb, marks=pytest.mark.slow)])
def test_the_web_process_of_production_starts(hub: Hub, kind: type[Web]) -> None:
    with web(kind, hub.dsn) as served:
        assert served.get("/readyz").status == 200


@pytest.mark.slow
def test_the_web_process_without_books_writes_none(hub: Hub, tmp_path: Path) -> None:
    with FakeUpstream("bare", books_dir=tmp_path) as fake, web(BareWeb, hub.dsn) as served:
        tenant, model = served.tenant("1.00"), served.model(fake)
        messages = [{"role": "user", "content": "hello"}]
        assert served.post(tenant, {"model": model, "messages": messages}).status == 200
        written = "SELECT FROM usage_attempt WHERE organisation_id = %s"
        assert not served.rows(written, tenant.organisation_id)
