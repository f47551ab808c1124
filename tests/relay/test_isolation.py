"""P12 at the relay: every row of its table, asked for by each key that opens nothing any more, by a
management key and by nobody. What is answered says nothing of what there is.

The table is the relay's own: a row that is added is looked at here. What a living key may ask is in
`test_carriers.py`, what is stored for others in `test_kept_responses.py`.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from relay.endpoints.table import listed_rows
from relay.front.request import Endpoint
from tests.fakes.upstream import FakeUpstream
from tests.relay.credentials.test_revocation import ENDS, of_key, tenant_of
from tests.relay.requests.test_carriers import CARRIERS, ask
from tests.support.hub import Answer, Hub, Tenant

# Who comes with a key, and what is answered then.
KEYS: dict[str, tuple[Callable[[Hub, Tenant], Any] | None, int]] = {
    **{name: (change, 401) for name, change in ENDS.items()},
    "of no kind": (None, 401),
    "management": (of_key("kind = 'management'"), 403),
}


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(fake)


@pytest.fixture(scope="module")
def keys(hub: Hub, model: str) -> dict[str, Tenant]:
    """A key for each, which the hub knew while it opened something."""
    tenants = {name: tenant_of(hub) for name in KEYS}
    for name, (change, _) in KEYS.items():
        assert hub.get("/v1/models", tenants[name]).status == 200
        if change is not None:
            change(hub, tenants[name])
    hub.bump()
    for name, (change, status) in KEYS.items():
        if change is not None:
            answered = partial(is_answered, hub, tenants[name], status)
            hub.wait(answered, f"a key opens something although {name}")
    return tenants


def is_answered(hub: Hub, tenant: Tenant, status: int) -> bool:
    return hub.get("/v1/models", tenant).status == status


def carriers_of(row: Endpoint) -> list[str]:
    return [carrier for carrier in CARRIERS if carrier != "query" or row.key_in_query]


def bare(answer: Answer) -> bytes:
    """An answer without what differs from one request to the next."""
    return re.sub(rb'"(request_id|requestId|id)": ?"[^"]*"', b"", answer.body)


@pytest.mark.parametrize("who", KEYS)
def test_no_path_answers_an_invalid_key(
    hub: Hub, fake: FakeUpstream, model: str, keys: dict[str, Tenant], who: str
) -> None:
    """Each row by a carrier in turn; whatever model is asked for, the answer is the same."""
    status = KEYS[who][1]
    text = keys[who].key if who != "of no kind" else "sk-weir-nothing-of-that-kind-0000000000"
    turns = itertools.count()
    before = fake.totals()["requests"]
    for path, row in listed_rows().items():
        if row.is_sealed_link:
            continue
        carriers = carriers_of(row)
        carrier = carriers[next(turns) % len(carriers)]
        answers = [ask(hub, path, row, name, carrier, text) for name in (model, "no-such-model")]
        assert [answer.status for answer in answers] == [status, status], (path, carrier, answers)
        assert bare(answers[0]) == bare(answers[1]), (path, carrier)
    assert fake.totals()["requests"] == before
