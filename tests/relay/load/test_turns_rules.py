"""P35: in which order requests begin that wait, and how many do so at once."""

from collections import Counter
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import WAIT_S_MAX
from relay.load.load_shedding import LoadShedding, is_within_share
from relay.load.turn_order import (
    BEGUN_MAX,
    FEW_SHARE,
    TURN_S_MAX,
    TurnQueue,
    find_few,
    next_allowance,
    order_by_turns,
)

Waiting = list[tuple[str, str, int]]


@pytest.mark.parametrize(
    ("under_way", "few"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([500], [], id="one alone"),
        pytest.param([5, 500], [5], id="few beside a crowd"),
        pytest.param([5, 20], [], id="few beside some"),
        pytest.param([25] * 20, [], id="twenty that ask as much"),
        pytest.param([1] * 50 + [500], [1] * 50, id="fifty beside a crowd"),
    ],
)
def test_few_are_a_quarter_of_the_mean(under_way: list[int], few: list[int]) -> None:
    running = dict(enumerate(under_way))
    assert sorted(running[id] for id in find_few(running)) == few


@given(st.lists(st.integers(1, 1000), max_size=60))
def test_few_have_their_share_of_all_together(under_way: list[int]) -> None:
    running = dict(enumerate(under_way))
    assert sum(running[id] for id in find_few(running)) <= FEW_SHARE * sum(under_way)


@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        pytest.param("", "", id="nobody"),
        pytest.param("Aa Aa Aa", "0 1 2", id="one key: the oldest first"),
        pytest.param("Aa Aa Aa Bb", "0 3 1 2", id="organisations in turn"),
        pytest.param("Aa Aa Aa Ac", "0 3 1 2", id="keys of an organisation in turn"),
        pytest.param("Aa Ac Ad Bb Bb", "0 3 1 4 2", id="an organisation has one turn for all keys"),
        pytest.param("Aa Aa Bb Cc Cc", "0 2 3 1 4", id="three organisations"),
    ],
)
def test_organisations_then_keys_take_turns(waiting: str, order: str) -> None:
    items = [(word[0], word[1], n) for n, word in enumerate(waiting.split())]
    assert order_by_turns(items) == [int(word) for word in order.split()]


WAITING = st.lists(
    st.tuples(st.sampled_from("ABCD"), st.sampled_from("xyz"), st.integers()), max_size=60
)


@given(WAITING)
def test_each_is_taken_once_and_a_key_keeps_its_order(waiting: Waiting) -> None:
    items = [(organisation, key, n) for n, (organisation, key, _) in enumerate(waiting)]
    order = order_by_turns(items)
    assert sorted(order) == list(range(len(items)))
    whose = {n: (organisation, key) for organisation, key, n in items}
    for key in set(whose.values()):
        own = [n for n in order if whose[n] == key]
        assert own == sorted(own)


@given(WAITING)
def test_no_organisation_begins_twice_while_another_waits(waiting: Waiting) -> None:
    """While an organisation waits, no other one has more than one turn between two of its own."""
    left = Counter(organisation for organisation, _, _ in waiting)
    since: dict[str, Counter[str]] = {organisation: Counter() for organisation in left}
    for organisation in order_by_turns([(o, key, o) for o, key, _ in waiting]):
        for other, turns in since.items():
            if other != organisation and left[other]:
                turns[organisation] += 1
                assert turns[organisation] <= 1
        since[organisation].clear()
        left[organisation] -= 1


def test_newcomer_starts_after_one_of_each() -> None:
    """However many of A wait, and go on coming."""
    queue, random = TurnQueue[str](), Random(35)
    for _ in range(500):
        queue.put("A", random.choice("xyz"), "A")
    for _ in range(100):
        queue.put("B", "b", "B")
        assert sorted([queue.take(), queue.take()]) == ["A", "B"]
        queue.put("A", "x", "A")
    assert queue.size == 500
    assert set(queue.oldest()) == {"A"}
    assert queue.has("A", "x")
    assert not queue.has("B", "b")
    assert not queue.has("A", "b")


@pytest.mark.parametrize(
    ("allowance", "turn_s", "then"),
    [
        pytest.param(8, 2 * TURN_S_MAX, 4, id="too long: half as many"),
        pytest.param(1, 2 * TURN_S_MAX, 1, id="one begins in any turn"),
        pytest.param(4, TURN_S_MAX, 4, id="just as long as it may be"),
        pytest.param(4, TURN_S_MAX / 4, 5, id="short: one more"),
        pytest.param(BEGUN_MAX, 0.0, BEGUN_MAX, id="never more than so many"),
    ],
)
def test_number_of_starts_follows_from_the_last_turn(
    allowance: int, turn_s: float, then: int
) -> None:
    assert next_allowance(allowance, turn_s) == then


@pytest.mark.parametrize(
    ("of_key", "of_keys", "of_organisations", "taken"),
    [
        pytest.param(5, [], [500, 5], True, id="another organisation has more than its share"),
        pytest.param(100, [], [5], False, id="it has more itself"),
        pytest.param(4, [], [50, 50], True, id="it has little"),
        pytest.param(0, [], [1] * 99, True, id="there is one for each"),
        pytest.param(0, [], [1] * 1000, False, id="there is not one for each"),
        pytest.param(5, [100], [], True, id="another key of its organisation has more"),
        pytest.param(100, [5], [], False, id="its key has more"),
        pytest.param(0, [1] * 99, [], True, id="there is one for each key"),
        pytest.param(0, [1] * 100, [], False, id="there is not one for each key"),
        pytest.param(0, [1] * 49, [50], True, id="half is its organisation's"),
        pytest.param(0, [1] * 50, [50], False, id="more than half would be its organisation's"),
    ],
)
def test_no_one_takes_more_than_a_fair_share_above_the_limit(
    of_key: int, of_keys: list[int], of_organisations: list[int], taken: bool
) -> None:
    shedding = LoadShedding(WAIT_S_MAX)
    shedding.limit = 100.0
    share = partial(
        is_within_share, of_key=of_key, of_keys=of_keys, of_organisations=of_organisations
    )
    assert shedding.admits(99, share)
    assert shedding.admits(100, share) is taken
