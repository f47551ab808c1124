"""How many files of ours a plain chat request goes through, from the socket to its record (ADR 23).
Somebody who follows one opens these files."""

from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.house.test_style import ROOMS
from tests.relay.asking import ask
from tests.support.hub import Hub, running_hub

# A function that each request calls runs so many times.
REQUESTS = 10
# What runs by itself, once in a while.
TIMERS = {
    "billing/holds/sweep_holds.py", "config/jobs/sweeping.py", "relay/attempts/shadow_traffic.py",
    "relay/health/channel_measures.py", "relay/health/health_sharing.py",
    "relay/health/operator_alerts.py", "relay/health/spend_caps.py",
    "relay/front/database_fit.py", "relay/front/refresher.py", "relay/catalogue/snapshot_sql.py",
}  # fmt: skip


@pytest.fixture(scope="module")
def counting() -> Iterator[Hub]:
    with running_hub(application="tests.relay.counting_files") as hub:
        yield hub


@pytest.mark.parametrize(("stream", "files_max"), [(False, 85), (True, 88)])
def test_plain_chat_uses_few_files(
    counting: Hub, fake: FakeUpstream, stream: bool, files_max: int
) -> None:
    tenant, model = counting.tenant(), counting.model(fake)
    for count in (1, REQUESTS):
        # The first request is answered by a process that has not met its key.
        counting.get("/_functions")
        for _ in range(count):
            answer = counting.post(tenant, ask(model, stream=stream))
            assert answer.status == 200
            counting.record(answer.headers["x-request-id"])
    functions = defaultdict(list)
    for file, function, calls in counting.get("/_functions").json():
        if calls >= REQUESTS and file.split("/")[0] in ROOMS and file not in TIMERS:
            functions[file].append(function)
    assert len(functions) <= files_max, "\n".join(
        f"{file}: {', '.join(functions[file])}" for file in sorted(functions)
    )
