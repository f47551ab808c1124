"""When what failed is asked again (F5, F8, P26)."""

import pytest

from gateway.breaker.breaker import Rest


def test_failing_channel_with_an_alternative_rests_for_its_time() -> None:
    rest = Rest()
    rest.fail(0, 0, 300)
    assert not rest.allows(299.9)
    assert rest.allows(300)
    assert rest.left(10) == 290
    assert not rest.calm(1000)


def test_failing_channel_without_one_retries_up_to_a_minute() -> None:
    rest, now, waited = Rest(), 0.0, []
    rest.fail(now, now, 300)
    for _ in range(9):
        waited.append(rest.wait_s(now))
        now += rest.wait_s(now)
        assert rest.allows_without_alternative(now)
        assert rest.claim(now)
        assert not rest.allows_without_alternative(now + 0.5)
        rest.fail(now, now, 300)
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_success_ends_the_rest_immediately() -> None:
    rest = Rest()
    rest.fail(0, 0, 300)
    rest.claim(1)
    rest.fail(1, 1, 300)
    rest.claim(3)
    rest.end(3)
    assert rest.calm(3)
    assert rest.allows(3)
    rest.fail(4, 4, 300)
    assert rest.wait_s(4) == 1


def test_request_started_before_the_rest_proves_nothing() -> None:
    """Forty requests under way fail as one; one of them that ends well proves nothing."""
    rest = Rest()
    rest.fail(10, 9, 300)
    for n in range(40):
        rest.fail(10 + n / 100, 9, 300)
    rest.end(9)
    assert rest.wait_s(10) == 1
    assert rest.allows_without_alternative(11)
    assert not rest.allows(11)


def test_slow_answer_blocks_no_one() -> None:
    rest = Rest()
    rest.fail(0, 0)
    asked = [
        now for now in range(1, 61) if rest.allows_without_alternative(now) and rest.claim(now)
    ]
    assert asked == [1, 3, 7, 15, 31]


def test_inconclusive_probe_is_returned() -> None:
    rest = Rest()
    rest.fail(0, 0)
    rest.claim(1)
    rest.give_back(1.5)
    assert rest.allows_without_alternative(1.5)
    rest.claim(1.5)
    assert rest.wait_s(1.5) == 2
    rest.end(1.5)
    rest.give_back(2)
    assert rest.calm(2)


@pytest.mark.parametrize(
    ("retry_after_ms", "seconds"), [(7000, 7.0), (10**15, 120.0), (120_001, 120.0), (0, 0.0)]
)
def test_provider_stated_wait_is_respected(retry_after_ms: int, seconds: float) -> None:
    """F8: min(value, 120 s); nobody asks before, and everybody may afterwards."""
    rest = Rest()
    rest.cool(5, retry_after_ms)
    assert (rest.wait_s(5), rest.left(5)) == (seconds, seconds)
    assert rest.calm(5 + seconds)
    assert not rest.claim(5 + seconds)


def test_longest_stated_wait_wins_over_guesses() -> None:
    rest = Rest()
    rest.fail(0, 0)
    for now in (1, 3, 7, 15):
        rest.claim(now)
        rest.fail(now, now)
    assert rest.wait_s(15) == 16
    rest.cool(15, 2000)
    assert rest.wait_s(15) == 2
    rest.cool(15.5, 9000)
    rest.cool(16, 1000)
    assert rest.wait_s(16) == 8.5
