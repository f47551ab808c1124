import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.usage import encode, merge, quantities
from dialects.usage.usage import Counts


def meters(**usage: object) -> dict[str, int]:
    result = quantities(json.dumps(usage).encode())
    assert result.flags == ()
    return result.meters


def test_cached_input_is_outside_and_thinking_inside() -> None:
    got = meters(
        input_tokens=1000,
        cache_read_input_tokens=2000,
        cache_creation_input_tokens=1500,
        cache_creation={"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 500},
        output_tokens=300,
        output_tokens_details={"thinking_tokens": 100},
        server_tool_use={"web_search_requests": 2},
    )
    assert got == {
        "in_text": 1000,
        "in_cache_read": 2000,
        "in_cache_write_5m": 1000,
        "in_cache_write_1h": 500,
        "out_text": 200,
        "out_reasoning": 100,
        "searches": 2,
    }


def test_zero_is_a_count() -> None:
    assert meters(input_tokens=0, output_tokens=0) == {"in_text": 0, "out_text": 0}


def test_written_without_a_split_is_for_five_minutes() -> None:
    got = meters(input_tokens=1, output_tokens=1, cache_creation_input_tokens=9)
    assert got["in_cache_write_5m"] == 9


def test_split_without_a_total_is_taken() -> None:
    got = meters(input_tokens=1, output_tokens=1, cache_creation={"ephemeral_1h_input_tokens": 4})
    assert got["in_cache_write_1h"] == 4
    assert "in_cache_write_5m" not in got


@pytest.mark.parametrize(("total", "short", "long"), [(12, 8, 4), (3, 0, 3)])
def test_total_wins_over_a_split_that_does_not_fit(total: int, short: int, long: int) -> None:
    split = {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 4}
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": total}
    got = quantities(json.dumps(usage | {"cache_creation": split}).encode())
    assert got.flags == ("usage_mismatch",)
    assert not got.quarantined
    assert got.meters.get("in_cache_write_5m", 0) == short
    assert got.meters["in_cache_write_1h"] == long


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (None, "usage_missing"),
        (b"null", "usage_missing"),
        (b"{}", "usage_missing"),
        (b"[]", "usage_unreadable"),
        (b"{", "usage_unreadable"),
        (b'"\xff"', "usage_unreadable"),
        (b'{"input_tokens":1}', "usage_unreadable"),
        (b'{"input_tokens":1,"output_tokens":1.5}', "usage_not_integer"),
        (b'{"input_tokens":true,"output_tokens":1}', "usage_not_integer"),
        (b'{"input_tokens":-1,"output_tokens":1}', "usage_negative"),
        (b'{"input_tokens":1,"output_tokens":1000000000000000000}', "usage_huge"),
        (
            b'{"input_tokens":1,"output_tokens":1,"output_tokens_details":{"thinking_tokens":2}}',
            "usage_parts_above_total",
        ),
    ],
)
def test_what_cannot_be_priced(raw: bytes | None, flag: str) -> None:
    got = quantities(raw)
    assert flag in got.flags
    assert got.meters == {}


def step(kind: str, said: int, read: int = 10, **more: str) -> dict[str, object]:
    return {"type": kind, "input_tokens": read, "output_tokens": said, **more}


@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        # Thinking is the last step's of the model that answered, and no more than it said.
        ([step("message", 40), step("message", 20)],
         [("", {"in_text": 10, "out_text": 40}),
          ("", {"in_text": 10, "out_text": 5, "out_reasoning": 15})]),
        ([step("message", 50), step("message", 10)],
         [("", {"in_text": 10, "out_text": 50}),
          ("", {"in_text": 10, "out_text": 0, "out_reasoning": 10})]),
        ([step("message", 40), step("advisor_message", 30, model="wise"), step("message", 20)],
         [("", {"in_text": 10, "out_text": 40}), ("wise", {"in_text": 10, "out_text": 30}),
          ("", {"in_text": 10, "out_text": 5, "out_reasoning": 15})]),
        # A compaction alone stands beside the answer, a message alone is the answer.
        ([step("compaction", 7)],
         [("", {"in_text": 10, "out_text": 7}),
          ("", {"in_text": 20, "out_text": 45, "out_reasoning": 15})]),
        ([step("message", 60)], []),
        # What another model took over is billed only with an output.
        ([step("message", 0), step("fallback_message", 60, model="other")],
         [("other", {"in_text": 10, "out_text": 45, "out_reasoning": 15})]),
        ([step("message", 3), step("fallback_message", 57, model="other")],
         [("", {"in_text": 10, "out_text": 3}),
          ("other", {"in_text": 10, "out_text": 42, "out_reasoning": 15})]),
    ],
)  # fmt: skip
def test_each_step_of_an_answer_is_priced_once(
    steps: list[dict[str, object]], parts: list[tuple[str, dict[str, int]]]
) -> None:
    whole = {"input_tokens": 20, "output_tokens": 60, "iterations": steps}
    whole["output_tokens_details"] = {"thinking_tokens": 15}
    got = quantities(json.dumps(whole).encode())
    assert [(part.model, part.meters) for part in got.parts] == parts


def test_every_condition_that_is_not_known_is_reviewed() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": "warp", "speed": "Light"}
    got = quantities(json.dumps(usage | {"new_tokens": 3}).encode())
    assert set(got.unknown) == {"new_tokens", "service_tier=warp", "speed=light"}


def test_last_reported_members_win() -> None:
    before = b'{"input_tokens":1,"cache_creation":{"a":1},"output_tokens":2}'
    after = b'{"input_tokens":5,"cache_creation":null,"output_tokens":7}'
    assert json.loads(merge(before, after)) == {
        "input_tokens": 5,
        "cache_creation": {"a": 1},
        "output_tokens": 7,
    }
    assert merge(None, after) == after
    assert merge(before, b"3") == before
    assert merge(b"3", after) == after
    assert merge(b"3", b"[]") == b"3"
    assert merge(before, b'{"a":1e400}') == before[:-1] + b',"a":1e400}'


counts = st.builds(
    lambda plain, read, short, long, said, thought, searches: Counts(
        input=plain + read + short + long,
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        output=said + thought,
        reasoning=thought,
        searches=searches,
    ),
    *[st.integers(0, 10**6)] * 7,
)


@given(counts)
def test_counts_survive_writing_and_reading(token_counts: Counts) -> None:
    got = quantities(json.dumps(encode(token_counts)).encode())
    assert got.flags == ()
    assert Counts.of(got.meters) == token_counts


def test_parts_above_the_input_leave_none_below_zero() -> None:
    assert encode(Counts(input=1, cache_read=5))["input_tokens"] == 0


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_crash_the_reader(before: bytes, after: bytes) -> None:
    quantities(merge(before, after))
