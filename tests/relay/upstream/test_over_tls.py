"""The fault table and the dialect matrix once more, over TLS as every real provider speaks it: on
uvloop, and on asyncio's own loop, which reads TLS in another way.

Here each fault that is of the connection and each pair of dialects, on the loops in turn; the whole
product in `make chaos`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes import listeners
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay import test_matrix as matrix
from tests.relay.asking import ask
from tests.relay.attempts import test_fault_table as table
from tests.relay.fault_table import After, Before, Served
from tests.relay.speakers import SPEAKERS
from tests.support.hub import Hub, running_hub
from tests.support.pairwise import slow_unless

LOOPS = ("uvloop", "asyncio")


@pytest.fixture(scope="module")
def hubs(hub: Hub, authority: listeners.Authority) -> Iterator[dict[str, Hub]]:
    """One on each loop; both trust the authority of the fakes."""
    with running_hub({"SSL_CERT_FILE": str(authority.path)}, loop="asyncio") as other:
        yield {"uvloop": hub, "asyncio": other}
        hub.assert_books_balance()
        other.assert_books_balance()


@pytest.fixture(scope="module")
def secured(
    authority: listeners.Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FakeUpstream, FakeUpstream]]:
    """Two providers behind TLS."""
    context, _ = listeners.tls_context(tmp_path_factory.mktemp("good"), authority=authority)
    with (
        FakeUpstream(name="a", tls=context) as first,
        FakeUpstream(name="b", tls=context) as second,
    ):
        yield first, second


# What depends on how bytes come and connections end; the others are of what the bytes say, which
# tests/relay/attempts/test_fault_table.py asks in the clear.
OF_THE_CONNECTION = frozenset(
    f"F{row}" for row in (1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 17, 20, 22, 24, 29, 33, 34, 35, 37)
)


def _drawn() -> dict[str, str]:
    """A cell of every fault of the connection, with its loop."""
    kinds: dict[str, list[str]] = {}
    for id, cell in table.CELLS.items():
        if cell.code in OF_THE_CONNECTION:
            kinds.setdefault(cell.code, []).append(id)
    return {ids[7 * turn % len(ids)]: LOOPS[turn % 2] for turn, ids in enumerate(kinds.values())}


DRAWN = _drawn()
on_each_loop = pytest.mark.parametrize("loop", LOOPS)
JUDGES: dict[type, Callable[..., None]] = {
    Before: table.test_before_the_first_content,
    After: table.test_after_the_first_content,
    Served: table.test_faults_unnoticed_by_the_client,
}
CELLS = [
    pytest.param(loop, id, marks=slow_unless(DRAWN.get(id) == loop))
    for loop in LOOPS
    for id in table.CELLS
]


@pytest.fixture(scope="module")
def relay_case(
    hubs: dict[str, Hub],
    fake: FakeUpstream,
    secured: tuple[FakeUpstream, FakeUpstream],
    authority: listeners.Authority,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, dict[str, table.Seen]]]:
    """What came, on each loop, of every cell that a test of this session asks for."""
    asked = {_asked_by(item) for item in request.session.items if item.path == request.path}
    with contextlib.ExitStack() as stack:
        urls = table.listen(stack, authority, fake.port, tmp_path_factory, "https")
        seen = {}
        for loop, hub in hubs.items():
            wanted = [cell for id, cell in table.CELLS.items() if (loop, id) in asked]
            seen[loop] = stack.enter_context(table.all_asked(wanted, hub, *secured, urls))
        yield seen


def _asked_by(item: pytest.Item) -> tuple[str, str]:
    called = getattr(item, "callspec", None)
    return ("", "") if called is None else (called.params.get("loop"), called.params.get("cell"))


@pytest.mark.parametrize(("loop", "cell"), CELLS)
def test_a_fault(
    relay_case: dict[str, dict[str, table.Seen]],
    secured: tuple[FakeUpstream, FakeUpstream],
    loop: str,
    cell: str,
) -> None:
    """P8: the same as without TLS."""
    JUDGES[type(table.CELLS[cell].row)](relay_case[loop], secured[0], cell)


# ---- the matrix


SAID = (
    matrix.test_text,
    matrix.test_tools_in_two_phases,
    matrix.test_reasoning,
    matrix.test_end_by_length,
    matrix.test_seals_come_back_around_tools,
    matrix.test_structured_output,
    matrix.test_image,
    matrix.test_usage_includes_the_cost_when_asked,
)


def _matrix() -> Iterator[Any]:
    """Each pair plain or streamed, on the loops and with the tests in turn."""
    for turn, (client, upstream) in enumerate(matrix.CELLS):
        # Each dialect of an upstream in each form on each loop.
        drawn = (LOOPS[turn // 4 % 2], (turn + turn // 8) % 2 == 0, SAID[turn % len(SAID)])
        for stream in (False, True):
            for loop in LOOPS:
                for one_text in SAID:
                    how = f"{client}-{upstream}-{'stream' if stream else 'plain'}"
                    name = f"{loop}-{how}-{one_text.__name__.removeprefix('test_')}"
                    marks = slow_unless((loop, stream, one_text) == drawn)
                    yield pytest.param(
                        loop, one_text, client, upstream, stream, marks=marks, id=name
                    )


@pytest.mark.parametrize(("loop", "text", "client", "upstream", "stream"), list(_matrix()))
def test_a_pair_of_dialects(
    hubs: dict[str, Hub],
    secured: tuple[FakeUpstream, FakeUpstream],
    loop: str,
    text: Callable[[Hub, FakeUpstream, str, str, bool], None],
    client: str,
    upstream: str,
    stream: bool,
) -> None:
    with hubs[loop].forgetful():
        text(hubs[loop], secured[0], client, upstream, stream)


@on_each_loop
@pytest.mark.parametrize(
    ("stream", "sizes"),
    [(False, (60_000, 50_000)), (True, (3_000, 2_500))],
    ids=["plain", "stream"],
)
def test_large_answer_is_the_requested_one(
    hubs: dict[str, Hub],
    secured: tuple[FakeUpstream, FakeUpstream],
    loop: str,
    stream: bool,
    sizes: tuple[int, ...],
) -> None:
    """P12: no byte of it is another tenant's."""
    hub = hubs[loop]
    with hub.forgetful():
        model = hub.model(secured[0])
        for size in sizes:
            text = f"#tokens={size} #uncapped #lang=mixed"
            body = ask(model, text, stream=stream, max_tokens=100_000)
            answer = hub.post(hub.tenant(), body)
            output = SPEAKERS["openai"].read(answer)
            assert len(answer.body) > 256 * 1024
            assert output.text == expected_text("a", text, size, "mixed")
