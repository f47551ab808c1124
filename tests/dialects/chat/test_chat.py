import msgspec
from hypothesis import given

from dialects.chat.chat import ChatAnswer, ChatRequest, Encoded, Upstream
from tests.dialects import neutral


@given(neutral.openai_requests())
def test_a_request_can_be_stored_and_read_again(request: ChatRequest) -> None:
    assert msgspec.json.decode(msgspec.json.encode(request), type=ChatRequest) == request


@given(neutral.openai_answers())
def test_an_answer_can_be_stored_and_read_again(answer: ChatAnswer) -> None:
    assert msgspec.json.decode(msgspec.json.encode(answer), type=ChatAnswer) == answer


def test_plain_upstream_asks_nothing_special() -> None:
    assert Upstream("m").flags == frozenset()
    assert Encoded(b"{}").dropped == ()
