"""What files cost beside nginx: 100 MiB up and 100 MiB down, in turns, in one run. nginx passes
them to the same provider; the CPU time of its processes is counted, and that of the web process."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.bench.process import cpu_ns
from tests.bench.systems import Ground, System, open_nginx
from tests.fakes.upstream import FakeUpstream
from tests.relay.front.test_memory import MIB, download, upload
from tests.support.hub import Hub, running_hub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]
SIZE = 100 * MIB
ROUNDS = 5
# A form is kept on the disk until it has come to its end, which nginx does not do here.
TIMES_MAX = 2.5


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="files", keep_bodies=False, process=True) as fake:
        yield fake


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub({"KEEP_ALIVE_SECONDS": "600"}) as hub:
        yield hub


@pytest.fixture(scope="module")
def nginx(provider: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    with open_nginx(Ground(provider, "", 0, folder)) as system:
        yield system


@pytest.mark.timed
@pytest.mark.parametrize("way", ["up", "down"])
def test_files_cost_a_few_times_what_they_cost_nginx(
    hub: Hub,
    provider: FakeUpstream,
    nginx: System,
    way: str,
    record_property: Callable[[str, object], None],
) -> None:
    tenant = hub.tenant("1000")
    meter, move = ("audio_ms", upload) if way == "up" else ("characters", download)
    model = hub.model(provider, rates={meter: 1})
    assert hub.process is not None
    ours, theirs = hub.process.pid, nginx.parts[0].roots[0]

    def cost(pid: int, port: int, key: str, model: str) -> int:
        began = cpu_ns([pid])
        move(port, key, model, SIZE)
        return cpu_ns([pid]) - began

    # What is made once, and cached.
    cost(ours, hub.port, tenant.key, model)
    cost(theirs, nginx.target.port, provider.key, "fake")
    times = [
        cost(ours, hub.port, tenant.key, model)
        / cost(theirs, nginx.target.port, provider.key, "fake")
        for _ in range(ROUNDS)
    ]
    record_property("times", [round(one, 2) for one in times])
    assert median(times) <= TIMES_MAX, times
