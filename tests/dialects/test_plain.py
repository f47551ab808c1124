import json

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from dialects.chat.events import Broken, UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.openai.unary import failure, input_quantities, member_bytes, open_answer
from tests.dialects.exchanges import fault_of


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b" \n", "F24"),
        (b"\xff", "F16"),
        (b"{", "F15"),
        (b"[]", "F15"),
        (b"[" * 5000, "F15"),
        (b'{"error":{"message":"no","type":"server_error"}}', "upstream_error"),
        (b'{"error":{"code":"rate_limit_exceeded","message":"slow"}}', "upstream_rate_limited"),
        (b'{"object":"error","message":"no"}', "upstream_error"),
    ],
)
def test_malformed_answer(raw: bytes, fault: str) -> None:
    with pytest.raises(AnswerFault) as caught:
        open_answer(raw)
    assert fault_of(caught) == fault
    result = failure(caught.value)
    assert result.quantities.missing
    if isinstance(caught.value.event, UpstreamError):
        assert (result.error, result.broken) == (caught.value.event, None)
    else:
        assert (result.error, result.broken) == (None, fault)
        assert caught.value.event == Broken(result.broken)  # type: ignore[arg-type]


def test_members_that_are_null_are_absent() -> None:
    members = open_answer(b'{"error":null,"object":"list","a":[1]}')
    assert (
        member_bytes(members, "error"),
        member_bytes(members, "b"),
        member_bytes(members, "a"),
    ) == (
        None,
        None,
        b"[1]",
    )


@pytest.mark.parametrize(
    ("usage", "meters", "flags"),
    [
        (None, {}, ("usage_missing",)),
        ({}, {}, ("usage_missing",)),
        ({"prompt_tokens": 3, "total_tokens": 3}, {"in_text": 3}, ()),
        ({"total_tokens": 3}, {"in_text": 3}, ()),
        ({"prompt_tokens": 3, "completion_tokens": 0}, {"in_text": 3}, ()),
        ({"input_tokens": 3}, {"in_text": 3}, ()),
        ({"prompt_tokens": 0, "total_tokens": 0}, {"in_text": 0}, ()),
        ({"prompt_tokens": 0, "total_tokens": 8}, {"in_text": 8}, ("usage_mismatch",)),
        ({"prompt_tokens": -1, "total_tokens": 8}, {}, ("usage_negative",)),
        ({"prompt_tokens": True}, {}, ("usage_not_integer",)),
        ({"prompt_tokens": 1.5}, {}, ("usage_not_integer",)),
        ({"total_tokens": 10**13}, {}, ("usage_huge",)),
        ([], {}, ("usage_unreadable",)),
    ],
)
def test_usage_of_endpoints_without_output(
    usage: object, meters: dict[str, int], flags: tuple[str, ...]
) -> None:
    got = input_quantities(None if usage is None else json.dumps(usage).encode())
    assert (got.meters, got.flags) == (meters, flags)


@drawn(st.binary(max_size=60))
def test_malformed_bytes_are_handled(raw: bytes) -> None:
    input_quantities(raw)
    try:
        open_answer(raw)
    except AnswerFault as fault:
        failure(fault)
