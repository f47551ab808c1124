"""How a parallel run is shared out: whole files, long ones first, so that nobody is left alone with
one at the end; what shares an installation goes to one worker. See `make test`.

`--part 2/8` runs the second of eight parts: every test is in one of them, by its name alone.
"""

from functools import cache
from pathlib import PurePosixPath
from typing import Final
from zlib import crc32

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Longest first; what is not named comes afterwards, in the order of its names.
LONG: Final = (
    "tests/browser",
    "tests/relay/attempts/test_fault_table.py",
    "tests/relay/upstream/test_over_tls.py",
    "tests/playground/runs/test_live.py",
    "tests/playground/chats/test_desk.py",
    "tests/stack/test_up.py",
    "tests/deploy/test_compose.py",
    "tests/playground",
    "tests/acceptance",
    "tests/isolation",
    "tests/relay",
    "tests/fakes_checks",
    "tests/house",
    "tests/config",
    "tests/billing",
    "tests/usage",
    "tests/notify",
    "tests/stack",
)
# Their tests share what is made once for the folder.
TOGETHER: Final = ("tests/browser", "tests/fakes_checks", "tests/house")


def place_of(nodeid: str) -> str:
    """The file of a test, or the folder whose tests stay together."""
    return turn_of(nodeid.partition("::")[0])[1]


@cache
def turn_of(file: str) -> tuple[int, str]:
    """When the tests of a file come, and what they stay together with."""
    path = PurePosixPath(file)
    ranks = [LONG.index(str(place)) for place in (path, *path.parents) if str(place) in LONG]
    place = next((folder for folder in TOGETHER if file.startswith(f"{folder}/")), file)
    return min(ranks, default=len(LONG)), place


class Shared(LoadFileScheduling):  # type: ignore[misc]
    """Units of place_of, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return place_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shared | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Shared(config, log)


def is_in_part(nodeid: str, part: str) -> bool:
    """Whether a test is in the part `k/n`, with k from 1 to n. Raises UsageError."""
    k, _, n = part.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise pytest.UsageError(f"--part is {part!r}; it must be k/n, such as 2/8.")
    return crc32(nodeid.encode(errors="surrogatepass")) % int(n) == int(k) - 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="1/1", help="run the k-th of n parts of the tests: k/n")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.getoption("part")
    if others := [item for item in items if not is_in_part(item.nodeid, part)]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if is_in_part(item.nodeid, part)]
    items.sort(key=lambda item: turn_of(item.nodeid.partition("::")[0]))
