"""The requests of a session stay at one channel and one of its keys, where its provider has cached
what it has read."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import pytest

from lib.ids import new_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, text_of
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

SESSIONS: Final = 200
READ, CACHED, WRITTEN = 2_000_000, 200_000, 8_000_000
RATES: Final = {"in_text": READ, "in_cache_read": CACHED, "out_text": WRITTEN}
# Tools and rules, which all sessions of an agent begin with.
_WORDS: Final = ("read", "edit", "run", "test", "file", "tool", "rule", "path")
AGENTS: Final = tuple(" ".join(random.Random(n).choices(_WORDS, k=600)) for n in range(4))


@pytest.fixture(scope="module")
def providers() -> Iterator[list[FakeUpstream]]:
    """East and west with five keys each, and one with a single key; each caches by key."""
    with ExitStack() as running:
        yield [
            running.enter_context(
                FakeUpstream(
                    name, keys=keys, directives="#caches #tokens=8", keep_bodies=False, fsync=False
                )
            )
            for name, keys in (
                ("east", tuple(f"sk-east-{n}" for n in range(5))),
                ("west", tuple(f"sk-west-{n}" for n in range(5))),
                ("single", ("sk-single",)),
            )
        ]


def served_by(hub: Hub, *channels: tuple[FakeUpstream, Sequence[str]]) -> str:
    """A model whose channels are of equal rank, each with these keys."""
    model = f"stays-{new_id().hex[-8:]}"
    hub.price(model, RATES)
    for n, (fake, keys) in enumerate(channels):
        channel_id = hub.channel(model, fake.url, keys)
        hub.connection.execute(
            "UPDATE gateway_channel SET name = %s WHERE id = %s", [f"{model} {n}", channel_id]
        )
    hub.know(model)
    return model


def say(hub: Hub, tenant: Tenant, model: str, session: str, messages: Any = None) -> Answer:
    headers = {"x-weir-session": session} if session else {}
    body = ask(model) | ({} if messages is None else {"messages": messages})
    answer = hub.post(tenant, body, headers=headers)
    assert answer.status == 200, answer.body
    return answer


def run_sessions(hub: Hub, tenant: Tenant, model: str) -> None:
    """Every session is a task of an agent, which reads files; all of them run at the same time."""
    chance = random.Random(42)
    turns = [chance.randint(3, 7) for _ in range(SESSIONS)]
    words = [[chance.randint(40, 300) for _ in range(count)] for count in turns]
    talks: list[list[dict[str, str]]] = [
        [{"role": "system", "content": AGENTS[n % len(AGENTS)]}] for n in range(SESSIONS)
    ]

    def take_turn(n: int, turn: int) -> None:
        content = f"file {n} {turn} " + "word " * words[n][turn]
        talks[n].append({"role": "user", "content": content})
        answer = say(hub, tenant, model, f"task {n}", talks[n])
        talks[n].append({"role": "assistant", "content": text_of(answer)})

    with ThreadPoolExecutor(8) as pool:
        for turn in range(max(turns)):
            running = [n for n in range(SESSIONS) if turn < turns[n]]
            list(pool.map(take_turn, running, [turn] * len(running)))


def records_of(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    hub.settled(tenant)
    return hub.rows(
        "SELECT meters, saved_nano, charge_nano FROM usage_usagerecord "
        "WHERE organisation_id = %s AND final",
        tenant.organisation_id,
    )


def cached_share(records: list[dict[str, Any]]) -> float:
    cached = sum(one["meters"].get("in_cache_read", 0) for one in records)
    return float(cached / (cached + sum(one["meters"]["in_text"] for one in records)))


def test_sessions_over_many_keys_keep_their_cache_hits(
    hub: Hub, providers: list[FakeUpstream]
) -> None:
    """200 sessions of agents over 2 channels with 5 keys each have at least 95 % of the cached
    input that one key has, and what they saved is what the providers' own books come to."""
    east, west, single = providers
    many = served_by(hub, (east, east.config.keys), (west, west.config.keys))
    one = served_by(hub, (single, single.config.keys))
    tenants = [hub.tenant(), hub.tenant()]
    for tenant, model in zip(tenants, (many, one), strict=True):
        run_sessions(hub, tenant, model)
    over_many, over_one = (records_of(hub, tenant) for tenant in tenants)
    assert len(over_many) == len(over_one) > 3 * SESSIONS
    assert cached_share(over_many) >= 0.95 * cached_share(over_one) > 0.6
    books = [row for fake in (east, west) for row in fake.books() if not row["free"]]
    assert {row["key"] for row in books} == {*east.config.keys, *west.config.keys}
    saved_nano = sum(row["cached_tokens"] for row in books) * (READ - CACHED) // 10**6
    assert sum(record["saved_nano"] for record in over_many) == pytest.approx(saved_nano, rel=0.01)


def test_requests_without_a_session_rotate_keys(hub: Hub, providers: list[FakeUpstream]) -> None:
    east, west, _ = providers
    tenant = hub.tenant()
    model = served_by(hub, (east, east.config.keys), (west, west.config.keys))
    counts = [len(fake.books()) for fake in (east, west)]
    for _ in range(40):
        say(hub, tenant, model, "")
    rows = [fake.books()[count:] for fake, count in zip((east, west), counts, strict=True)]
    assert {row["key"] for part in rows for row in part} == {
        *east.config.keys,
        *west.config.keys,
    }


def test_session_of_a_rejected_key_moves_once(hub: Hub, providers: list[FakeUpstream]) -> None:
    """A resting key hands over its sessions only, each to one other key."""
    east, *_ = providers
    tenant = hub.tenant()
    keys = ["sk-ended", *east.config.keys[:2]]
    model = served_by(hub, (east, keys))
    before = len(east.books())
    names = [f"talk {n}" for n in range(12)]
    used: dict[str, set[str]] = {name: set() for name in names}
    for _ in range(4):
        for name in names:
            say(hub, tenant, model, name)
            used[name].add(east.books(since=before)[-1]["key"])
    assert {len(some) for some in used.values()} == {1}
    assert set.union(*used.values()) == set(keys[1:])
    assert len(east.books()) - before == 4 * len(names)


def test_continued_responses_stay_at_the_first_key(hub: Hub, providers: list[FakeUpstream]) -> None:
    """The request that opens a series names no session: its response does."""
    east, *_ = providers
    tenant = hub.tenant()
    model = served_by(hub, (east, east.config.keys))
    before = len(east.books())
    used: list[set[str]] = []
    for n in range(10):
        body: dict[str, Any] = {"model": model, "input": f"series {n}"}
        used.append(set())
        for _ in range(3):
            answer = hub.post(tenant, body, path="/v1/responses")
            assert answer.status == 200, answer.body
            body |= {"input": "and then", "previous_response_id": answer.json()["id"]}
            used[-1].add(east.books(since=before)[-1]["key"])
    assert {len(some) for some in used} == {1}
    assert len(set.union(*used)) > 1
