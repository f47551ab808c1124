"""An alias hides what stands behind it, in every answer and chunk."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.openai.stream import decode as openai
from dialects.streams.model_alias import FrameNaming, name_answer

ASKED = 'mine "2"'
HEAD = '"id":"c","object":"chat.completion.chunk","created":1,"model":"theirs",'


def shown(raw: bytes, *path: str) -> bytes:
    return FrameNaming(path or ("model",), ASKED).rename(raw)


def chunk(text: str, *, after: str = "") -> bytes:
    """A chunk as a server writes it whose text is not ASCII."""
    delta = json.dumps({"content": text}, ensure_ascii=False)
    return f'data: {{{HEAD}"choices":[{{"index":0,"delta":{delta}}}]{after}}}\n\n'.encode()


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        (("model",), 'data: {"id":"c","model":"theirs","choices":[]}\n\n'),
        (("model",), 'data:{"choices":[{"x":{"model":"kept"}}], "model" : "theirs"}\r\n\r\n'),
        (("model",), ': {"model":"kept"}\nid: 5\ndata: {"model":"theirs"}\n\n'),
        (("model",), 'data: {"text":"\\"model\\":\\"kept\\"","model":"theirs"}\n\n'),
        (("model",), 'data: {"text":"\\ud83d","model":"theirs"}\n\n'),
        (("message", "model"), 'event: message_start\ndata: {"message":{"model":"theirs"}}\n\n'),
        (("response", "model"), 'data: {"model":"kept","response":{"a":1,"model":"theirs"}}\n\n'),
        (("modelVersion",), '[{"candidates":[{"args":{"modelVersion":"kept"}}]\n,"modelVersion":'
                            '"theirs"\n}'),
        (("modelVersion",), ',\r\n{"modelVersion":"theirs"}'),
        (("model",), 'data: {"model":null,"choices":[]}\n\n'),
        (("model",), "data: [DONE]\n\n"),
        (("model",), 'data: {"model":\n\n'),
    ],
)  # fmt: skip
def test_only_one_member_of_a_frame_changes(path: tuple[str, ...], raw: str) -> None:
    assert shown(raw.encode(), *path) == raw.replace('"theirs"', json.dumps(ASKED)).encode()


def test_frames_with_equal_starts_are_recognised_by_them() -> None:
    naming = FrameNaming(("model",), ASKED)
    raws = [chunk("a"), chunk("b") + chunk('"model":"theirs"'), b": ping\n\n", chunk("ü")]
    joined = b"".join(map(naming.rename, raws))
    assert joined == b"".join(raws).replace(b'"theirs",', json.dumps(ASKED).encode() + b",")


@given(
    st.lists(st.text(max_size=9), max_size=9),
    st.sampled_from(["", ',"model":"theirs"']),
    st.integers(1, 300),
)
def test_a_forwarded_stream_differs_in_nothing_else(texts: list[str], after: str, cut: int) -> None:
    """However it is cut, and wherever the member stands."""
    head = HEAD.replace('"model":"theirs",', "") if after else HEAD
    raw = b"".join(chunk(text, after=after) for text in texts).replace(HEAD.encode(), head.encode())
    decoder = openai.Decoder(include_usage=True)
    decoder.show(FrameNaming(("model",), "mine").rename)
    steps = [step for at in range(0, len(raw), cut) for step in decoder.feed(raw[at : at + cut])]
    frames = b"".join(step.raw for step in steps).split(b"\n\n")[:-1]
    expected = [json.loads(frame[6:]) | {"model": "mine"} for frame in raw.split(b"\n\n")[:-1]]
    assert [json.loads(frame[6:]) for frame in frames] == expected


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"model": "theirs", "x": {"model": "kept"}}, ("model",), {"model": ASKED}),
        ({"modelVersion": "theirs"}, ("modelVersion",), {"modelVersion": ASKED}),
        ({"x": 1}, ("model",), {}),
        ({"model": 1}, ("model",), {}),
    ],
)
def test_a_whole_answer(value: dict[str, Any], path: tuple[str, ...], expected: Any) -> None:
    body = json.loads(name_answer(json.dumps(value).encode(), path, ASKED))
    assert body == value | expected
    assert name_answer(b"no json", path, ASKED) == b"no json"


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b'{"model":7,"of":{"model":"inner"}}', b'{"model":7,"of":{"model":"inner"}}'),
        (b'{"model":"a\\\\b","of":{"model":"inner"}}', b'{"model":"%b","of":{"model":"inner"}}'),
        (b'{"of":{"model":"inner"},"model":"m"}', b'{"of":{"model":"inner"},"model":"%b"}'),
        (b'{"of":"model","model" : "m"}', b'{"of":"model","model" : "%b"}'),
        (b'{"of":{"model":"inner"}}', b'{"of":{"model":"inner"}}'),
        (b'{"mod\\u0065l":"m","of":{"model":"m"}}', b'{"mod\\u0065l":"%b","of":{"model":"m"}}'),
    ],
)
def test_only_the_answers_own_model_is_named(raw: bytes, named: bytes) -> None:
    expected = named.replace(b'"%b"', json.dumps(ASKED).encode())
    assert name_answer(raw, ("model",), ASKED) == expected
