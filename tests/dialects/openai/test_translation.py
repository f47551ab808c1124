import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Audio, Base64, Image, ToolCall
from dialects.chat.events import (
    AudioDelta,
    Broken,
    Citation,
    End,
    Event,
    Finish,
    ImageOutput,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    Source,
    Start,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from dialects.chat.fold import fold
from dialects.chat.turns import derive_id
from dialects.openai.answer.decode import decode
from dialects.openai.answer.events import Translation
from dialects.openai.stream.decode import Decoder
from dialects.streams.surrogate_pairs import Pairs
from dialects.usage.usage import Counts
from tests.dialects.exchanges import by_bytes, load_exchange, summary_of
from tests.dialects.openai.golden import (
    ANSWERS,
    EXPECTED,
    GOLDEN,
    STREAMS,
    body_of,
    check_summary,
)
from tests.dialects.openai.stream.test_decode import chunk


def stream(*chunks: bytes) -> list[Event]:
    decoder = Decoder(include_usage=True, translate=True)
    steps = [step for chunk in chunks for step in decoder.feed(chunk)] + decoder.end()
    return Pairs().join([event for step in steps for event in step.events])


def delta(members: object, finish: object = None, **more: object) -> list[Event]:
    """What one chunk says, without the start of the answer and its end."""
    events = stream(chunk(members, finish, **more))
    assert isinstance(events[0], Start)
    return events[1:-1]


def message(members: dict[str, Any], **more: Any) -> list[Event]:
    body = {"choices": [{"index": 0, "message": members, **more}]}
    return decode(json.dumps(body).encode(), translate=True).events[1:]


@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream(name: str) -> None:
    raw, want = (GOLDEN / name).read_bytes(), EXPECTED["codec"][name]
    events = stream(raw)
    check_summary(summary_of(events), want)
    assert isinstance(events[0], Start)
    assert events[0].model
    assert events[0].id
    cited = [event.source.url for event in events if isinstance(event, Citation)]
    assert cited == want.get("citations", [])
    counts = [event.counts for event in events if isinstance(event, Usage)]
    if want["usage"] is None:
        assert counts == []
    else:
        expected = {name: count for name, count in want["usage"].items() if name != "total"}
        assert counts[-1] == Counts(**expected)
        assert counts[-1].total == want["usage"]["total"]


@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream_cut_anywhere_tells_the_same(name: str) -> None:
    raw = (GOLDEN / name).read_bytes()
    whole = stream(raw)
    assert stream(*by_bytes(raw)) == whole
    for at in range(0, len(raw), 7):
        assert stream(raw[:at], raw[at:]) == whole


@pytest.mark.parametrize("key", [key for key in ANSWERS if "completion" not in key])
def test_golden_answer(key: str) -> None:
    want = EXPECTED["codec"][key]
    body = load_exchange(key)["response"]
    events = decode(body_of(body), translate=True).events
    for at, expected in enumerate(want["choices"]):
        check_summary(summary_of(events, at), expected)
    answer = decode(body_of(body), translate=True).fold()
    expected = {name: count for name, count in want["usage"].items() if name != "total"}
    assert answer.counts == Counts(**expected)
    sounds = [p for choice in answer.choices for p in choice.parts if isinstance(p, Audio)]
    media = [s.source.media_type for s in sounds if isinstance(s.source, Base64)]
    assert media == want.get("media", [])
    if sounds:
        assert sounds[0].transcript == want["choices"][0]["transcript"]
    if "logprobs" in key:
        logprobs = body["body"]["choices"][0]["logprobs"]["content"]
        assert [token.token for token in answer.choices[0].logprobs] == [
            token["token"] for token in logprobs
        ]


F_AND_G = [("f", '{"a":1}'), ("g", '{"b":2}')]


def calls_of(events: list[Event]) -> list[tuple[str, str]]:
    """The calls of the first choice."""
    return [
        (part.name, part.arguments)
        for part in fold(events).choices[0].parts
        if isinstance(part, ToolCall)
    ]


@pytest.mark.parametrize(
    "named",
    [{}, {"id": ""}, {"id": "c"}, {"index": 0}, {"index": 0, "id": "c"}],
    ids=["no id", "empty id", "same id", "same index", "same both"],
)
def test_every_item_of_a_whole_answer_is_a_call(named: dict[str, Any]) -> None:
    """Parallel calls stay apart, whatever names them."""
    calls = [named | {"function": {"name": name, "arguments": text}} for name, text in F_AND_G]
    assert calls_of(message({"tool_calls": calls}, finish_reason="tool_calls")) == F_AND_G


def pieces_of(*calls: tuple[str, str], whole: bool, **members: Any) -> list[bytes]:
    """The chunks of calls, each whole or in three pieces."""
    chunks: list[bytes] = []
    for at, (name, text) in enumerate(calls):
        named = {key: f"{value}{at}" if key == "id" else value for key, value in members.items()}
        first = text if whole else ""
        pieces = [named | {"function": {"name": name, "arguments": first}}]
        index = {key: value for key, value in members.items() if key == "index"}
        if not whole:
            pieces += [index | {"function": {"arguments": half}} for half in (text[:3], text[3:])]
        chunks += [chunk({"tool_calls": [piece]}) for piece in pieces]
    return chunks


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("members", [{}, {"id": "c"}, {"index": 0}, {"index": 0, "id": "c"}])
def test_calls_with_one_index_or_none_stay_apart(members: dict[str, Any], whole: bool) -> None:
    """Google's endpoint sends every call with index 0; others send neither index nor id."""
    raw = pieces_of(*F_AND_G, ("g", '{"b":3}'), whole=whole, **members)
    events = stream(*raw, chunk({}, "tool_calls"))
    if whole or "id" in members:
        assert calls_of(events) == [*F_AND_G, ("g", '{"b":3}')]
    else:
        # A repeated name alone is no call: see below.
        assert calls_of(events)[0] == F_AND_G[0]


@pytest.mark.parametrize("repeated", [{"id": "c1"}, {}])
def test_a_repeated_id_or_name_begins_no_call(repeated: dict[str, Any]) -> None:
    """The first counts."""
    pieces = ["", '{"a":', "1}", ""]
    calls = [
        {"index": 0, "function": {"name": "f", "arguments": text}}
        | (repeated if at else {"id": "c1"})
        for at, text in enumerate(pieces)
    ]
    raw = [chunk({"tool_calls": [call]}) for call in calls]
    assert calls_of(stream(*raw, chunk({}, "tool_calls"))) == [F_AND_G[0]]


def test_another_id_without_a_name_begins_no_call() -> None:
    """Some servers make a new id for each piece."""
    calls: list[dict[str, Any]] = [
        {"index": 0, "id": f"c{at}", "function": {"arguments": text}}
        for at, text in enumerate(['{"a":', "1}"])
    ]
    calls[0]["function"]["name"] = "f"
    raw = [chunk({"tool_calls": [call]}) for call in calls]
    assert calls_of(stream(*raw, chunk({}, "tool_calls"))) == [F_AND_G[0]]


def test_a_message_with_both_forms_of_a_call_has_one() -> None:
    function = {"name": "f", "arguments": '{"a":1}'}
    both = {"function_call": function, "tool_calls": [{"id": "c", "function": function}]}
    assert calls_of(message(both, finish_reason="tool_calls")) == [F_AND_G[0]]


def test_seals_of_calls_without_ids_stay_with_their_call() -> None:
    calls = [
        {"function": {"name": name}, "extra_content": {"google": {"thought_signature": name}}}
        for name in ("f", "f", "g")
    ]
    got = [
        event.seal.value if isinstance(event, ReasoningSeal) else event.index
        for event in message({"tool_calls": calls})
        if isinstance(event, ReasoningSeal | ToolCallStart)
    ]
    assert got == ["f", 0, "f", 1, "g", 2]


COMPLETE: list[Event] = [ToolCallEnd(0, 0), Finish(0, "tool_calls")]
DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n'


@pytest.mark.parametrize(
    ("text", "ends"), [('{"a":1}', COMPLETE), ('{"a":', [Finish(0, "length")])]
)
def test_end_without_a_finish_reason_is_one(text: str, ends: list[Event]) -> None:
    """[DONE] alone ends an answer. A call that is cut stays cut (F38)."""
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": text}}
    begun = chunk({"tool_calls": [call]})
    for frames in ([DONE], [USAGE, DONE], [DONE, USAGE]):
        events = [event for event in stream(begun, *frames) if not isinstance(event, Usage)]
        assert events[3:-1] == ends
        assert isinstance(events[-1], End)
    for missing in ({}, {"finish_reason": None}, {"finish_reason": ""}):
        assert message({"tool_calls": [call]}, **missing)[2:] == ends
    assert stream(chunk({"content": "a"}), DONE)[2] == Finish(0, "stop")
    assert stream(chunk({"content": "a"}, "length"), DONE)[2:-1] == [Finish(0, "length")]
    assert isinstance(stream(begun)[-1], Broken)


def test_usage_behind_the_end_marker_is_counted() -> None:
    """The clients of all dialects see what is billed."""
    events = stream(chunk({"content": "a"}, "stop"), DONE, USAGE)
    (usage,) = [event for event in events if isinstance(event, Usage)]
    assert usage.counts == Counts(input=7, output=5)


def test_start_is_told_once() -> None:
    head = {"id": "i", "model": "m", "created": 5, "service_tier": "t", "system_fingerprint": "f"}
    events = stream(chunk({"role": "assistant"}, **head), chunk({"content": "a"}, "stop"))
    assert events[:2] == [Start("i", "m", 5, "t", "f"), TextDelta(0, "a")]
    assert stream(chunk({}, "stop", created=True, id=3))[0] == Start("", "")


def test_reasoning_comes_before_the_text_of_its_chunk() -> None:
    assert delta({"content": "a", "reasoning_content": "b"}) == [
        ReasoningDelta(0, "b"),
        TextDelta(0, "a"),
    ]


def call(index: int | None, id_: str | None, **more: object) -> dict[str, object]:
    place = {} if index is None else {"index": index}
    return place | {"id": id_, "function": {"name": "f"}, **more}


def test_calls_end_before_the_finish() -> None:
    first = chunk({"tool_calls": [call(0, "a"), call(1, None)]})
    more = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    events = stream(first, more, chunk({}, "tool_calls"))
    call_id = derive_id("call_", "", 0, 1)
    assert events[1:-1] == [
        ToolCallStart(0, 0, "a", "f"),
        ToolCallStart(0, 1, call_id, "f"),
        ToolArgumentsDelta(0, 0, "{}"),
        ToolCallEnd(0, 0),
        ToolCallEnd(0, 1),
        Finish(0, "tool_calls"),
    ]


def test_old_form_calls_get_an_id() -> None:
    (start,) = delta({"function_call": {"name": "f"}})
    assert isinstance(start, ToolCallStart)
    assert start.id.startswith("call_")


GOOGLE = {"extra_content": {"google": {"thought_signature": "g"}}}
OTHER = {"extra_content": {"anthropic": {"reasoning": [{"characters": 1, "value": "s"}]}}}


def test_seals_precede_their_call() -> None:
    events = delta({"tool_calls": [call(0, "a"), call(1, "b", **GOOGLE)]})
    assert events == [
        ToolCallStart(0, 0, "a", "f"),
        ReasoningSeal(0, Seal("gemini", "g")),
        ToolCallStart(0, 1, "b", "f"),
    ]
    streamed = delta({"reasoning_content": "x", "tool_calls": [call(None, None, **OTHER)]})
    assert [type(event) for event in streamed] == [ReasoningDelta, ToolCallStart]
    whole = message({"reasoning_content": "xy", "tool_calls": [call(None, "a", **OTHER)]})
    assert whole == [
        ReasoningDelta(0, "x"),
        ReasoningSeal(0, Seal("anthropic", "s")),
        ReasoningDelta(0, "y"),
        ToolCallStart(0, 0, "a", "f"),
        *COMPLETE,
    ]


@pytest.mark.parametrize(
    ("members", "events"),
    [
        ({"audio": {"id": "i", "data": "AA==", "transcript": "t", "expires_at": 9}},
         [AudioDelta(0, "audio/L16", "AA==", "t", "i", 9)]),
        ({"audio": 1}, [AudioDelta(0, "audio/L16", "")]),
        ({"images": [{"image_url": {"url": "data:image/png;base64,AA=="}}, 3,
                     {"image_url": {"url": "https://a.org/b"}},
                     {"image_url": {"url": "data:x"}}, {"image_url": {}}]},
         [ImageOutput(0, "image/png", "AA=="), ImageOutput(0, "", "", "https://a.org/b")]),
        ({"annotations": [{"type": "url_citation", "url_citation":
            {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}, {"type": "x"}]},
         [Citation(0, Source("u", "t", 1, 2))]),
        ({"annotations": [{"url_citation": {"url": 3, "start_index": "a", "end_index": 4}}]},
         [Citation(0, Source(""))]),
    ],
)  # fmt: skip
def test_delta(members: object, events: list[Event]) -> None:
    assert delta(members) == events


def test_sources_of_all_providers_are_reported_once() -> None:
    more = {
        "citations": ["u", "u", 3, ""],
        "search_info": {"search_results": [{"url": "v", "title": "V"}]},
        "web_search": [{"link": "w", "title": "W", "content": "c"}],
    }
    expected = [
        Citation(0, source)
        for source in (Source("u"), Source("v", "V"), Source("w", "W", quote="c"))
    ]
    assert delta({}, **more) == expected
    twice = stream(chunk({"content": "a"}, **more), chunk({}, "stop", **more))
    assert [event for event in twice if isinstance(event, Citation)] == expected


def test_logprobs() -> None:
    top = {"token": "b", "logprob": -2, "bytes": [98, 300, "x"]}
    token = {"token": "a", "logprob": -1, "bytes": None, "top_logprobs": [top]}
    members = {"content": [token, 4], "refusal": [{"logprob": "x"}]}
    events = message({"content": "a"}, logprobs=members)
    assert events == [
        TextDelta(0, "a"),
        LogprobsDelta(0, (TokenLogprob("a", -1, None, (TopLogprob("b", -2, (98,)),)),)),
        LogprobsDelta(0, (TokenLogprob("", 0.0),), refusal=True),
        Finish(0, "stop"),
    ]


def test_implausible_count_is_none() -> None:
    (usage,) = delta({}, usage={"prompt_tokens": -1, "completion_tokens": 1})
    assert isinstance(usage, Usage)
    assert usage.counts is None


def test_pictures_of_a_whole_answer() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    (choice,) = fold(message({"content": None, "images": [image]})).choices
    assert choice.parts == (Image(Base64("AA==", "image/png")),)


@given(st.binary(max_size=40), st.booleans())
def test_no_bytes_crash(data: bytes, whole: bool) -> None:
    events: list[Event] = [TextDelta(0, "a"), Usage(data)]
    completed = Translation("audio/wav", whole=whole).complete(events, data)
    assert TextDelta(0, "a") in completed


NAMES = [
    "choices", "delta", "message", "content", "index", "logprobs", "tool_calls", "refusal",
    "function", "extra_content", "google", "anthropic", "reasoning", "id", "usage", "images",
    "image_url", "url", "annotations", "url_citation", "audio", "citations", "top_logprobs",
    "reasoning_content", "thought_signature", "value", "characters", "bytes", "web_search",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=30,
)


@given(JSON, JSON)
def test_no_json_crashes(choice: object, more: object) -> None:
    body = {"choices": [choice, {"index": 0, "delta": more, "logprobs": more}], "citations": more}
    raw = b"data: " + json.dumps(body).encode() + b"\n\n"
    stream(raw)
    decode(json.dumps(body | {"choices": [{"message": more}]}).encode(), translate=True)
