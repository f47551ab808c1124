"""P40: texts that a decoder writes for the client itself, because a frame differs from the one
before in its text alone: a client gets the same bytes, and the same is counted, as if each frame
were read, changed and encoded."""

import json
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.guards.rules import GuardRule
from dialects.chat.events import Event, Step
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.streams.splice import WrittenStep
from dialects.translation import StreamTranslator
from relay.guarding.guarded_answer import GuardedAnswer, Refused
from relay.guarding.guarding import Guarding
from relay.guarding.rule_set import KeyRules
from tests.relay.request_costs.in_step import FORMS
from tests.relay.speakers import SPEAKERS, Wish

DIALECTS: Final = ("openai", "anthropic")
WORD: Final = b'"word "'
TARGET: Final = Target("m", stream=True)


def rules_of(action: Any, *guards: str, place: Any = "answer") -> list[GuardRule]:
    return [GuardRule(guard, {}, [place], action, guard) for guard in guards]


def translator(upstream: str, client: str, guarding: Guarding) -> StreamTranslator:
    codec: Any = CODECS[client]  # type: ignore[index]
    body = json.dumps(SPEAKERS[client].body("m", Wish("hello", stream=True))).encode()
    request = codec.decode(codec.read(body, TARGET), TARGET, "r", 0)
    decoder = CODECS[upstream].translating_decoder(request, "")  # type: ignore[index]
    return StreamTranslator(
        decoder, codec.encoder(request, TARGET), 2, change=GuardedAnswer(guarding)
    )


def frame(dialect: str, text: str) -> bytes:
    """A frame with this text: a comment if it begins with a colon, with 2 of the second choice."""
    if text.startswith(":"):
        return f"{text}\n\n".encode()
    word = FORMS[dialect].word(0).replace(WORD, json.dumps(text).encode())
    return word.replace(b'"index": 0', b'"index": 1') if text.startswith("2") else word


def stream(dialect: str, texts: list[str]) -> list[bytes]:
    form = FORMS[dialect]
    return [form.first, *(frame(dialect, text) for text in texts), form.end(len(texts))]


def events_of(steps: list[Step]) -> list[Event]:
    return [event for step in steps for event in step.events]


PIECES: Final = st.one_of(
    st.sampled_from([f" {word}" for word in ("a", "word", "other", "é", "中", "x" * 15, "x" * 16)]),
    st.sampled_from(["word ", "ing", ",", ".", "", " ", "\n", '"', "\\", " <", "EMAIL_1", ">"]),
    st.sampled_from([" bob", "@x.com", " 4111", " 1111", " DE", "89", "2", "2 word", ": ping"]),
    # The halves of a character, and a mark of one.
    st.sampled_from(["\ud83d", "\ude00", " \ud83d", "\U0010f83d"]),
)


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@given(
    texts=st.lists(PIECES, max_size=30),
    in_one=st.integers(1, 4),
    cuts=st.lists(st.integers(0, 8_000), max_size=3),
    guards=st.sampled_from([("email", "card", "iban"), ("card", "iban"), ("email",), ()]),
    action=st.sampled_from(["mask", "refuse", "flag"]),
    restores=st.booleans(),
)
def test_p40_texts_are_written_as_if_each_frame_were_read(
    upstream: str,
    client: str,
    texts: list[str],
    in_one: int,
    cuts: list[int],
    guards: tuple[str, ...],
    action: str,
    restores: bool,
) -> None:
    def opened() -> StreamTranslator:
        guarding = Guarding(
            KeyRules([*rules_of(action, *guards), *rules_of("mask", "email", place="request")])
        )
        if restores:
            guarding.check_text("request", "eve@x.com")
        return translator(upstream, client, guarding)

    quick, plain = opened(), opened()
    plain._around_text = None
    frames = stream(upstream, texts)
    raw = b"".join(frames)
    ends = [len(b"".join(frames[:n])) for n in range(0, len(frames), in_one)]
    edges = sorted({0, *ends, *(cut for cut in cuts if cut < len(raw)), len(raw)})
    for begin, end in pairwise(edges):
        written, expected = quick.feed(raw[begin:end]), plain.feed(raw[begin:end])
        assert b"".join(one.raw for one in written) == b"".join(one.raw for one in expected)
        # Errors are equal by what they say.
        assert repr(events_of(written)) == repr(events_of(expected))
        assert quick.decoder.text_bytes == plain.decoder.text_bytes
    assert quick.end() == plain.end()


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_nearly_every_text_is_written_by_the_decoder(upstream: str, client: str) -> None:
    one = translator(
        upstream, client, Guarding(KeyRules(rules_of("mask", "email", "card", "iban")))
    )
    texts = ["Some", " words", " and", " more", ", 3.14", " bob", "@x.com", " is", " “quoted”", "."]
    steps = [step for raw in stream(upstream, texts)[1:-1] for step in one.feed(raw)]
    read = [text for text, step in zip(texts, steps, strict=True) if type(step) is not WrittenStep]
    # Its first texts.
    assert read == ["Some", " words"]
    assert b"bob" not in b"".join(step.raw for step in steps)
    refusing = translator(upstream, client, Guarding(KeyRules(rules_of("refuse", "email"))))
    *_, last = (step for raw in stream(upstream, texts)[:9] for step in refusing.feed(raw))
    assert isinstance(last.events[-1], Refused)
