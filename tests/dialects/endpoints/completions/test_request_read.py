import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Text
from dialects.endpoints.completions.request_decode import CompletionPlan, decode
from dialects.endpoints.completions.request_read import edit, read
from dialects.errors.errors import RequestFault
from tests.dialects.exchanges import exchange, refusal
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID


def body(**members: object) -> bytes:
    return json.dumps({"model": "m", "prompt": "1 2", **members}).encode()


def planned(raw: bytes, **options: int) -> CompletionPlan:
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT, **options)


def test_facts() -> None:
    raw = body(
        prompt=["a", "b"],
        n=2,
        best_of=3,
        max_tokens=5,
        stream=True,
        stream_options={"include_usage": True},
        user="u",
        max_cost="0.5",
    )
    facts = read(raw)
    assert (facts.model, facts.stream, facts.include_usage, facts.output_cap) == (
        "m",
        True,
        True,
        5,
    )
    assert (facts.prompts, facts.shown, facts.choices) == (2, 4, 6)
    assert (facts.user, facts.text_bytes, facts.max_cost_nano) == ("u", len(raw), 500_000_000)


def test_defaults() -> None:
    facts = read(body(n=None, stream=None, best_of=0))
    assert (facts.stream, facts.include_usage, facts.output_cap) == (False, False, 16)
    assert (facts.prompts, facts.shown, facts.choices) == (1, 1, 1)


@pytest.mark.parametrize(
    ("prompt", "count"),
    [("", 1), (["a"], 1), (["a", ""], 2), ([1, 2, 3], 1), ([[1], [2, 3]], 2), ([[]], 1)],
)
def test_prompts_are_counted(prompt: object, count: int) -> None:
    assert read(body(prompt=prompt)).prompts == count


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b'{"prompt":"a"}', "missing_parameter", "model"),
        (b'{"model":"m"}', "missing_parameter", "prompt"),
        (body(prompt=None), "missing_parameter", "prompt"),
        (body(prompt=7), "invalid_type", "prompt"),
        (body(prompt={}), "invalid_type", "prompt"),
        (body(prompt=[1, "a"]), "invalid_type", "prompt"),
        (body(prompt=[1.5]), "invalid_type", "prompt"),
        (body(prompt=[True]), "invalid_type", "prompt"),
        (body(prompt=[]), "invalid_value", "prompt"),
        (body(prompt=["a"] * 2049), "invalid_value", "prompt"),
        (body(prompt=[], stream=1), "invalid_type", "stream"),
        (body(n=0, max_tokens="5"), "invalid_type", "max_tokens"),
        (body(max_tokens=-1), "invalid_value", "max_tokens"),
        (body(n=129), "invalid_value", "n"),
        (body(best_of=21), "invalid_value", "best_of"),
        (body(max_cost="x"), "invalid_value", "max_cost"),
        (body(stream=True, stream_options=[]), "invalid_type", "stream_options"),
        (
            body(stream=True, stream_options={"include_usage": "yes"}),
            "invalid_type",
            "stream_options.include_usage",
        ),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert refusal(caught) == (kind, param)


def test_recorded_request_is_forwarded_unchanged() -> None:
    raw, _ = exchange("openai_chat_nonstream.json#text_completion")
    assert edit(read(raw), "gpt-3.5-turbo-instruct") == raw


def test_edits() -> None:
    raw = b'{"model":"m", "prompt":"a","max_cost":1}'
    assert edit(read(raw), "u") == b'{"model":"u", "prompt":"a","max_tokens":16}'
    assert edit(read(body(max_tokens=5)), "m", output_cap=3) == body(max_tokens=3)
    assert edit(read(body(max_tokens=5)), "m") == body(max_tokens=5)
    request_body = body(max_tokens=5, stream=True, stream_options={"include_usage": True})
    assert edit(read(request_body), "m") == request_body


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({"stream": True}, {"include_usage": True}),
        ({"stream": True, "stream_options": {"x": 1}}, {"x": 1, "include_usage": True}),
        (
            {"stream": True, "stream_options": {"include_usage": False}},
            {"include_usage": True},
        ),
        ({"stream_options": {"include_usage": True}}, None),
    ],
)
def test_a_stream_always_asks_for_usage(members: dict[str, object], options: object) -> None:
    document = json.loads(edit(read(body(**members)), "m"))
    assert document.get("stream_options") == options


def test_usage_request_is_optional() -> None:
    document = json.loads(edit(read(body(stream=True)), "m", ask_usage=False))
    assert "stream_options" not in document


def test_each_prompt_becomes_a_call() -> None:
    plan = planned(
        body(
            prompt=["a", "b"],
            n=2,
            max_tokens=7,
            temperature=0.5,
            top_p=0.9,
            stop=["x", "y"],
            seed=3,
            presence_penalty=1,
            frequency_penalty=-1,
            logit_bias={"5": 10, "6": None},
            user="u",
            stream=True,
            stream_options={"include_usage": True},
            odd=1,
        )
    )
    assert (plan.choices, plan.include_usage, plan.dropped) == (2, True, ("odd",))
    first, second = plan.requests
    assert (first.request_id, first.received_at, first.model) == (REQUEST_ID, RECEIVED_AT, "m")
    assert [message.parts for message in first.messages] == [(Text("a"),)]
    assert [message.parts for message in second.messages] == [(Text("b"),)]
    assert (first.messages[0].role, first.output_cap, first.choices) == ("user", 7, 2)
    assert (first.temperature, first.top_p, first.seed, first.user) == (0.5, 0.9, 3, "u")
    assert (first.presence_penalty, first.frequency_penalty) == (1, -1)
    assert (first.stop, first.logit_bias) == (("x", "y"), {"5": 10})
    assert (first.stream, first.include_usage, first.extra) == (True, True, {})


def test_unstated_fields_stay_unstated() -> None:
    plan = planned(body(best_of=1, echo=False, suffix="", logprobs=None, stop="x"))
    (request,) = plan.requests
    assert (plan.choices, request.choices, request.output_cap) == (1, None, 16)
    assert (request.stop, request.logit_bias, request.temperature) == (("x",), None, None)
    assert planned(body(), output_cap=9).requests[0].output_cap == 9


@pytest.mark.parametrize(
    ("members", "kind", "param"),
    [
        ({"prompt": [1, 2]}, "unsupported_capability", "prompt"),
        ({"prompt": [[1], [2]]}, "unsupported_capability", "prompt"),
        ({"echo": True}, "unsupported_capability", "echo"),
        ({"suffix": "x"}, "unsupported_capability", "suffix"),
        ({"best_of": 2}, "unsupported_capability", "best_of"),
        ({"logprobs": 0}, "unsupported_capability", "logprobs"),
        ({"max_tokens": 0}, "unsupported_capability", "max_tokens"),
        ({"logprobs": 6}, "invalid_value", "logprobs"),
        ({"echo": "yes"}, "invalid_type", "echo"),
        ({"temperature": 3}, "invalid_value", "temperature"),
        ({"top_p": "1"}, "invalid_type", "top_p"),
        ({"logit_bias": {"5": 101}}, "invalid_value", "logit_bias.5"),
        ({"stop": ["a"] * 5}, "invalid_value", "stop"),
        ({"stop": [1]}, "invalid_type", "stop[0]"),
    ],
)
def test_fields_a_chat_lacks_are_rejected(
    members: dict[str, object], kind: str, param: str
) -> None:
    with pytest.raises(RequestFault) as caught:
        planned(body(**members))
    assert refusal(caught) == (kind, param)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_names = st.sampled_from(
    ["model", "prompt", "n", "stream", "stream_options", "stop", "logit_bias", "best_of", "echo"]
)


@given(st.binary(max_size=60) | st.dictionaries(_names, _json).map(lambda members: body(**members)))
def test_malformed_bodies_are_only_rejected(raw: bytes) -> None:
    try:
        edit(read(raw), "u")
        planned(raw)
    except RequestFault:
        pass
