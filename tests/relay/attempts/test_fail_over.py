from gateway.channel_order.channel_order import Candidate
from lib.id_types import UpstreamModelName
from relay.attempts.rules import AttemptsLeft, attempt_order, next_candidate

A, B, C, D = (Candidate(name, UpstreamModelName("m"), 2) for name in "abcd")
ALL = [A, B, C, D]


def test_at_most_three_channels_are_tried_in_order() -> None:
    assert next_candidate(ALL, []) is A
    assert next_candidate(ALL, [A]) is B
    assert next_candidate(ALL, [A, B]) is C
    assert next_candidate(ALL, [A, B, C]) is None
    assert next_candidate([], []) is None


def test_single_channel_is_tried_again() -> None:
    assert next_candidate([A], [A]) is A
    assert next_candidate([A], [A], closed={"a"}) is None


def test_closed_channels_are_skipped() -> None:
    assert next_candidate(ALL, [A], closed={"b"}) is C


def test_retry_settings_of_every_failed_channel_apply() -> None:
    never, once = (
        Candidate("n", UpstreamModelName("m"), 0),
        Candidate("o", UpstreamModelName("m"), 1),
    )
    assert next_candidate([never, A], [never]) is None
    assert next_candidate([once, A, B], [once]) is A
    assert next_candidate([once, A, B], [once, A]) is None


def test_attempt_order_is_followed_to_its_end() -> None:
    assert attempt_order(ALL, AttemptsLeft()) == [A, B, C]
    assert attempt_order([A, B], AttemptsLeft()) == [A, B, B]
    assert attempt_order(ALL, AttemptsLeft(attempts=1, fallback=True)) == [A]
    assert attempt_order([], AttemptsLeft()) == []
