import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.request.read import ChatFacts, edit, read, read_counting
from dialects.errors.errors import RequestFault


def body(**members: object) -> bytes:
    plain = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(plain | members).encode()


def blocks(*content: object) -> bytes:
    return body(messages=[{"role": "user", "content": list(content)}])


def test_facts() -> None:
    raw = body(stream=True, metadata={"user_id": "a\0b"}, max_cost="0.5")
    facts = read(raw)
    assert (facts.model, facts.stream, facts.output_cap) == ("m", True, 9)
    assert (facts.user, facts.max_cost_nano, facts.text_bytes) == ("ab", 500_000_000, len(raw))
    assert (facts.media, facts.choices, facts.include_usage, facts.audio_output) == (
        {},
        1,
        True,
        False,
    )


def test_defaults() -> None:
    facts = read(body(stream=None, metadata={"user_id": 3}, max_cost=None))
    assert (facts.stream, facts.user, facts.max_cost_nano) == (False, "", None)
    assert read(body(metadata="x")).user == ""


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b"{}", "missing_parameter", "model"),
        (b'{"model":""}', "missing_parameter", "model"),
        (b'{"model":3}', "invalid_type", "model"),
        (b'{"model":"a\\u0000b"}', "model_not_found", "model"),
        (json.dumps({"model": "x" * 257}).encode(), "model_not_found", "model"),
        (b'{"model":"m"}', "missing_parameter", "messages"),
        (b'{"model":"m","messages":"hi"}', "invalid_type", "messages"),
        (b'{"model":"m","messages":[]}', "missing_parameter", "max_tokens"),
        (body(max_tokens=None), "missing_parameter", "max_tokens"),
        (body(messages=[]), "invalid_value", "messages"),
        (body(stream=1, max_tokens=0), "invalid_type", "stream"),
        (body(max_tokens="5"), "invalid_type", "max_tokens"),
        (body(max_tokens=True), "invalid_type", "max_tokens"),
        (body(max_tokens=1.5), "invalid_type", "max_tokens"),
        (body(max_tokens=0), "invalid_value", "max_tokens"),
        (body(max_tokens=10**10), "invalid_value", "max_tokens"),
        (body(max_tokens=1).replace(b" 1,", b" 1e999,"), "invalid_value", "max_tokens"),
        (body(thread={"type": "create"}), "thread_unsupported", "thread"),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert (caught.value.kind, caught.value.param) == (kind, param)


@pytest.mark.parametrize(("spelled", "cap"), [(b"7", 7), (b"7.0", 7), (b"1e3", 1000)])
def test_spellings_of_an_integer(spelled: bytes, cap: int) -> None:
    assert read(body(max_tokens=3).replace(b" 3,", b" %s," % spelled)).output_cap == cap


def picture(size: int = 5000) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * size}
    return {"type": "image", "source": source}


def test_pictures_and_documents_are_counted_wherever_they_stand() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [picture(), picture()]}
    document = {"type": "document", "source": {"type": "content", "content": [picture()]}}
    fetched = {
        "type": "web_fetch_tool_result",
        "content": {"type": "web_fetch_result", "content": document},
    }
    raw = blocks(picture(), result, document, fetched, {"type": "text", "text": "x"}, "odd", None)
    facts = read(raw)
    assert facts.media == {"image": 5, "file": 2}
    assert 0 < facts.text_bytes < 1_500


def test_missing_or_malformed_source_is_text() -> None:
    raw = blocks({"type": "image", "source": None}, {"type": "document", "source": "x"})
    facts = read(raw)
    assert (facts.media, facts.text_bytes) == ({"file": 1}, len(raw))


def test_malformed_messages_are_left_to_the_provider() -> None:
    assert read(body(messages=[3, {"content": 5}])).media == {}


def test_counting_tokens_needs_no_cap() -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":"x"}'
    facts = read_counting(raw)
    assert (facts.model, facts.output_cap, facts.stream) == ("m", None, False)
    assert edit(facts, "up") == raw.replace(b'"m"', b'"up"')


def test_unrequested_thread_is_not_rejected() -> None:
    """A client goes on without one after the refusal, and counts tokens with whatever it has."""
    assert read(body(thread=None)).model == "m"
    assert read_counting(body(thread={"type": "create"})).model == "m"


def test_nothing_to_change_changes_nothing() -> None:
    raw = b' {"max_tokens" : 1e1,\n"model":"m", "x":1.0,"messages":[{}], "max_cost_": 1}'
    assert edit(read(raw), "m") == raw


def test_only_necessary_changes_are_made() -> None:
    raw = b'{"max_cost":1, "max_tokens" : 1e1,"model": "m","messages":[ {}], "unknown":1.0}'
    assert edit(read(raw), "up", output_cap=7) == (
        b'{"max_tokens" : 7,"model": "up","messages":[ {}], "unknown":1.0}'
    )


def test_cost_goes_even_when_it_is_null() -> None:
    assert b"max_cost" not in edit(read(body(max_cost=None)), "m")


@given(st.binary(max_size=60))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    for reader in (read, read_counting):
        try:
            assert isinstance(reader(raw), ChatFacts)
        except RequestFault:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "source", "content"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_content_crashes_the_reader(content: object) -> None:
    raw = body(messages=[{"role": "user", "content": content}])
    assert read(raw).text_bytes <= len(raw)
