import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat import media
from dialects.errors.errors import RequestFault
from dialects.responses.request.read import edit, read
from tests.dialects.exchanges import load_exchange
from tests.dialects.responses.golden import request_of


def body(**members: object) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **members}).encode()


def edited(raw: bytes, upstream: str = "m", **options: object) -> bytes:
    return edit(read(raw), upstream, **options)  # type: ignore[arg-type]


def with_part(part: object, member: str = "content") -> bytes:
    return body(input=[{"role": "user", "content": "x"}, {"role": "user", member: [part]}])


PDF = base64.b64encode(b"%PDF-1.4 and so on").decode()
PDF_URL = f"data:application/pdf;base64,{PDF}"


def test_facts() -> None:
    raw = body(stream=True, max_output_tokens=50, user="a\0b", max_cost="0.5", store=False)
    facts = read(raw)
    assert (facts.model, facts.stream, facts.output_cap) == ("m", True, 50)
    assert (facts.user, facts.max_cost_nano, facts.store) == ("ab", 500_000_000, False)
    assert (facts.text_bytes, facts.media, facts.compact) == (len(raw), {}, False)
    assert (facts.include_usage, facts.choices, facts.audio_output) == (True, 1, False)


def test_foreign_reasoning_is_not_forwarded() -> None:
    """Its seal would not be verified, and its id is only ours."""
    own = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_68af4030baa48193b0b43b4c2a176a1a0e69", "summary": []},
        {"type": "message", "id": f"rs_{'0' * 24}", "role": "user", "content": "x"},
    ]
    foreign = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "anthropic:x"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gemini:x"},
        {"type": "reasoning", "id": f"rs_{'0' * 24}", "summary": []},
    ]
    raw = body(input=own)
    assert (read(raw).foreign, edited(raw)) == ((), raw)
    raw = body(input=[own[0], foreign[0], own[1], *foreign[1:], own[2]])
    assert read(raw).foreign == (1, 3, 4)
    assert json.loads(edited(raw)) == json.loads(body(input=own))


def test_defaults() -> None:
    facts = read(body(stream=None, max_output_tokens=None, user=7, store=None, background=None))
    assert (facts.stream, facts.output_cap, facts.user, facts.max_cost_nano) == (
        False,
        None,
        "",
        None,
    )
    assert (facts.store, facts.background, facts.unseen_input) == (True, False, False)
    assert (facts.previous_response_id, facts.references) == (None, ())


def test_fields_outside_the_body() -> None:
    facts = read(b'{"model":"m","previous_response_id":"resp_1","background":true}')
    assert (facts.previous_response_id, facts.background, facts.unseen_input) == (
        "resp_1",
        True,
        True,
    )
    assert read(b'{"model":"m","prompt":{"id":"p"}}').unseen_input
    assert read(body(conversation="conv_1")).unseen_input
    items = [{"type": "item_reference", "id": "rs_1"}, {"type": "item_reference", "id": 3}]
    facts = read(body(input=[*items, "odd", {"id": "x"}]))
    assert (facts.references, facts.unseen_input) == (("rs_1", "x"), True)
    # What stands before it in the input is stored nowhere else.
    message = {"id": "msg_1", "role": "assistant", "content": "a"}
    facts = read(body(input=[message, {"type": "item_reference", "id": "msg_1"}]))
    assert (facts.references, facts.unseen_input) == ((), False)


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b"{}", "missing_parameter", "model"),
        (b'{"model":""}', "missing_parameter", "model"),
        (b'{"model":null}', "missing_parameter", "model"),
        (b'{"model":3,"input":3}', "invalid_type", "model"),
        (b'{"model":"a\\u0000b"}', "model_not_found", "model"),
        (json.dumps({"model": "x" * 257}).encode(), "model_not_found", "model"),
        (b'{"model":"m"}', "missing_parameter", "input"),
        (b'{"model":"m","input":null}', "missing_parameter", "input"),
        (b'{"model":"m","input":{}}', "invalid_type", "input"),
        (body(stream="true"), "invalid_type", "stream"),
        (body(store=1), "invalid_type", "store"),
        (body(background=[]), "invalid_type", "background"),
        (body(previous_response_id=3), "invalid_type", "previous_response_id"),
        (body(max_output_tokens="50"), "invalid_type", "max_output_tokens"),
        (body(max_output_tokens=True), "invalid_type", "max_output_tokens"),
        (body(max_output_tokens=50.5), "invalid_type", "max_output_tokens"),
        (body(max_output_tokens=15), "invalid_value", "max_output_tokens"),
        (body(max_output_tokens=-1), "invalid_value", "max_output_tokens"),
        (body(max_output_tokens=10**30), "invalid_value", "max_output_tokens"),
        (body(max_output_tokens=10**60), "invalid_value", "max_output_tokens"),
        (
            body().replace(b"}", b',"max_output_tokens":1e999}'),
            "invalid_value",
            "max_output_tokens",
        ),
        (
            body().replace(b"}", b',"max_output_tokens":' + b"9" * 9000 + b"}"),
            "invalid_value",
            "max_output_tokens",
        ),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert (caught.value.kind, caught.value.param) == (kind, param)


@pytest.mark.parametrize("spelled", [b"70", b"70.0", b"7e1"])
def test_spellings_of_an_integer(spelled: bytes) -> None:
    assert read(body(max_output_tokens=0).replace(b" 0", b" " + spelled)).output_cap == 70


def test_media_are_counted_by_their_members() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 5000}
    parts = [
        picture,
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_text", "text": "x", "image_url": "u"},
        {"type": "input_audio", "input_audio": {}},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL},
        {"type": "input_text", "image_url": None},
        "odd",
    ]
    screen = {"type": "computer_call_output", "output": {"image_url": "data:"}}
    values = {"type": "function_call_output", "call_id": "c", "output": [picture]}
    raw = body(input=[{"role": "user", "content": parts}, screen, values, 3])
    facts = read(raw)
    assert facts.media == {"image": 5, "audio": 1, "file": 2}
    binary = 2 * len(json.dumps(picture["image_url"])) + len('"u""data:"') + len(PDF)
    assert facts.text_bytes == len(raw) - binary


def test_files_that_are_text_are_counted_as_text() -> None:
    data = base64.b64encode(b"a,b\n").decode()
    raw = with_part({"type": "input_file", "file_data": f"data:text/csv;base64,{data}"})
    assert read(raw).text_bytes == len(raw)


@pytest.mark.parametrize(
    ("file", "kind", "param"),
    [
        ({}, "missing_parameter", "file_url"),
        ({"file_data": PDF_URL, "file_url": "https://e.com"}, "invalid_value", "file_data"),
        ({"file_id": "f", "file_url": "https://e.com"}, "invalid_value", "file_id"),
        ({"file_url": "ftp://e.com"}, "invalid_value", "file_url"),
        ({"file_url": 3}, "invalid_type", "file_url"),
        ({"file_data": PDF}, "invalid_type", "file_data"),
        ({"file_data": "data:application/pdf,plain"}, "invalid_type", "file_data"),
        ({"file_data": "data:application/pdf;base64,A"}, "invalid_type", "file_data"),
    ],
)
def test_file_refused(file: dict[str, object], kind: str, param: str) -> None:
    for member in ("content", "output"):
        with pytest.raises(RequestFault) as caught:
            read(with_part({"type": "input_file", **file}, member))
        assert caught.value.kind == kind
        assert caught.value.param == f"input[1].{member}[0].{param}"


def test_a_stored_file_is_not_implemented() -> None:
    with pytest.raises(RequestFault) as caught:
        read(with_part({"type": "input_file", "file_id": "file-1"}))
    fault = caught.value
    assert (fault.kind, fault.param) == ("not_implemented", None)
    assert fault.message == "This API is not implemented."


def test_sizes_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert media.FILE_BYTES_MAX == 50 * 1024 * 1024
    monkeypatch.setattr(media, "FILE_BYTES_MAX", 300)
    file = {"type": "input_file", "file_data": "data:application/pdf;base64," + "A" * 400}
    assert read(with_part(file)).text_bytes < 300
    with pytest.raises(RequestFault) as caught:
        read(with_part(file | {"file_data": file["file_data"] + "AAAA"}))
    assert (caught.value.kind, caught.value.param) == (
        "body_too_large",
        "input[1].content[0].file_data",
    )
    small = {"type": "input_file", "file_data": PDF_URL}
    with pytest.raises(RequestFault) as caught:
        read(body(input=[{"role": "user", "content": [file, small]}]))
    assert (caught.value.kind, caught.value.param) == ("body_too_large", "input")
    assert "the limit is 300" in caught.value.message


def test_nothing_changes_unnecessarily() -> None:
    raw = b' {"model" : "m","input":"\\u4e0a", "top_p":1.0, "new":[1e3], "max_output_tokens":16}'
    assert edited(raw) == raw
    assert edited(raw, "up") == raw.replace(b'"m"', b'"up"')
    assert edited(raw, output_cap=20) == raw.replace(b"16", b"20")
    assert edited(raw, output_cap=3) == raw
    assert edited(body(max_cost=1)) == body()
    assert edited(b'{"model":"m","input":"a"}', output_cap=99) == (
        b'{"model":"m","input":"a","max_output_tokens":99}'
    )


def test_compaction() -> None:
    raw = request_of(load_exchange("responses_nonstream.json#compact"))
    facts = read(raw, compact=True)
    assert (facts.compact, facts.stream, facts.output_cap) == (True, False, None)
    assert edit(facts, "up", output_cap=16) == raw.replace(b'"gpt-5.2"', b'"up"')
    facts = read(body(stream=True, max_output_tokens=3), compact=True)
    assert (facts.stream, facts.output_cap) == (False, None)


@pytest.mark.parametrize("id_", ["file_by_url", "file_base64_incomplete", "web_search_tool"])
def test_golden_request_is_forwarded_unchanged(id_: str) -> None:
    raw = request_of(load_exchange(f"responses_nonstream.json#{id_}"))
    assert edited(raw, "gpt-5.2") == raw


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "content",
                    "output",
                    "image_url",
                    "file_data",
                    "file_url",
                    "file_id",
                    "input_audio",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["input", "stream", "store", "user", "max_cost"]), JSON))
def test_nothing_crashes_reading(members: dict[str, object]) -> None:
    try:
        facts = read(json.dumps({"model": "m"} | members).encode())
    except RequestFault:
        return
    assert 0 <= facts.text_bytes <= len(facts.body.raw)
