import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.fold import AnswerFault
from dialects.endpoints.moderations import MODEL, decode_answer, edit, read, read_answer
from dialects.errors.errors import RequestFault
from tests.dialects.exchanges import EXPECTED, exchange, fault_of, refusal, wire

KEY = "openai_media.json#moderation"


def test_golden_exchange() -> None:
    request_body, response_body = exchange(KEY)
    want = EXPECTED["media"][KEY]
    facts = read(request_body)
    assert (facts.model, facts.inputs, facts.text_bytes) == (MODEL, 1, len(request_body))
    assert edit(facts, MODEL) == request_body
    (verdict,) = decode_answer(response_body)
    assert (verdict.flagged, list(verdict.categories)) == (want["flagged"], want["categories"])
    answer = read_answer(response_body)
    assert (answer.quantities.meters, answer.usage) == ({"requests": 1}, None)
    assert (answer.error, answer.broken) == (None, None)


@pytest.mark.parametrize(
    ("raw_input", "count"),
    [("a", 1), (["a", "b"], 2), ([{"type": "text", "text": "a"}, {"type": "image_url"}], 2)],
)
def test_inputs_are_counted(raw_input: object, count: int) -> None:
    assert read(wire(input=raw_input)).inputs == count


def test_client_may_omit_the_model() -> None:
    facts = read(b'{"input": "a","user":"u","max_cost":1}')
    assert (facts.model, facts.user, facts.max_cost_nano) == (MODEL, "u", 10**9)
    assert edit(facts, "mod") == b'{"input": "a","user":"u","model":"mod"}'


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (wire(model="", input="a"), "missing_parameter", "model"),
        (wire(model=1, input="a"), "invalid_type", "model"),
        (wire(model="m"), "missing_parameter", "input"),
        (wire(model="m", input=1), "invalid_type", "input"),
        (wire(model="m", input=[1]), "invalid_type", "input"),
        (wire(model="m", input=""), "invalid_value", "input"),
        (wire(model="m", input=[]), "invalid_value", "input"),
        (wire(model="m", input=[], max_cost="x"), "invalid_value", "max_cost"),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert refusal(caught) == (kind, param)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b"{}", "F24"),
        (wire(results=[]), "F24"),
        (wire(results=[{}]), "F15"),
        (wire(results=[{"flagged": "yes"}]), "F15"),
        (wire(error={"message": "no"}), "upstream_error"),
    ],
)
def test_malformed_answer(raw: bytes, fault: str) -> None:
    with pytest.raises(AnswerFault) as caught:
        decode_answer(raw)
    assert fault_of(caught) == fault
    result = read_answer(raw)
    assert fault in (result.broken, result.error and result.error.kind)


def test_unjudged_categories() -> None:
    raw = wire(
        results=[
            {"flagged": True, "categories": {"a": None, "b": True, "c": False}},
            {"flagged": False, "categories": None},
        ]
    )
    assert [verdict.categories for verdict in decode_answer(raw)] == [("b",), ()]


@given(st.binary(max_size=60))
def test_malformed_bytes_are_handled(raw: bytes) -> None:
    read_answer(raw)
    with contextlib.suppress(RequestFault):
        edit(read(raw), "m")
