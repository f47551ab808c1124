import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Reasoning, Text
from dialects.endpoints.edits import SYSTEM_TEXT, EditFacts, encode, read
from dialects.errors.errors import RequestFault
from dialects.usage.usage import Counts
from tests.dialects.exchanges import refusal, wire
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID, answer


def facts(raw: bytes) -> EditFacts:
    return read(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)


def test_an_edit_becomes_a_chat() -> None:
    raw = wire(
        model="m", input="She go home", instruction="Fix grammar", n=2, temperature=0, top_p=1,
        user="u", max_cost="1", odd=1,
    )  # fmt: skip
    got = facts(raw)
    system, user = got.request.messages
    assert (system.role, system.parts) == ("system", (Text(SYSTEM_TEXT),))
    assert user.role == "user"
    assert user.parts == (Text("Instruction:\nFix grammar\n\nInput:\nShe go home"),)
    assert (got.model, got.choices, got.user, got.max_cost_nano) == ("m", 2, "u", 10**9)
    assert (got.dropped, got.stream, got.output_cap, got.include_usage) == (
        ("odd",),
        False,
        None,
        True,
    )
    request = got.request
    assert (request.choices, request.temperature, request.top_p, request.user) == (2, 0, 1, "u")
    characters = sum(
        len(part.text) for m in request.messages for part in m.parts if isinstance(part, Text)
    )
    assert characters <= got.text_bytes <= len(raw) + len(SYSTEM_TEXT) + 64


def test_the_input_may_be_missing_or_hold_braces() -> None:
    empty = facts(wire(model="m", instruction="{x}")).request.messages[1]
    assert empty.parts == (Text("Instruction:\n{x}\n\nInput:\n"),)
    assert facts(wire(model="m", instruction="")).choices == 1


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (wire(instruction="x"), "missing_parameter", "model"),
        (wire(model="m"), "missing_parameter", "instruction"),
        (wire(model="m", instruction=3), "invalid_type", "instruction"),
        (wire(model="m", instruction="x", input=3), "invalid_type", "input"),
        (wire(model="m", instruction="x", n=0), "invalid_value", "n"),
        (wire(model="m", instruction="x", temperature=2.5), "invalid_value", "temperature"),
        (wire(model="m", instruction="x", top_p=True), "invalid_type", "top_p"),
        (wire(model="m", instruction="x", max_cost=[]), "invalid_type", "max_cost"),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        facts(raw)
    assert refusal(caught) == (kind, param)


def test_the_answer_is_the_edited_text() -> None:
    request = facts(wire(model="m", instruction="x")).request
    chat_answer = answer(Reasoning("hm"), Text("She goes home"), counts=Counts(input=30, output=4))
    got = json.loads(encode(chat_answer, request))
    assert (got["object"], got["created"]) == ("edit", RECEIVED_AT)
    assert got["choices"] == [{"text": "She goes home", "index": 0}]
    assert got["usage"]["total_tokens"] == 34
    assert json.loads(encode(answer(), request))["usage"]["total_tokens"] == 0


@given(st.binary(max_size=60))
def test_malformed_bodies_are_only_rejected(raw: bytes) -> None:
    with contextlib.suppress(RequestFault):
        facts(raw)
