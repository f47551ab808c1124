"""Texts that a change passes are written for the client without being encoded: the same texts, and
all that they are counted by."""

from collections.abc import Callable, Sequence
from typing import Final, get_args

import pytest

from dialects.chat.chat import Dialect
from dialects.chat.events import End, Event, Finish, Start, Step, TextDelta
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.streams.splice import PassText, WrittenStep
from dialects.translation import StreamTranslator
from tests.dialects.exchanges import events_of, raw_of
from tests.dialects.test_every_answer import asked, framed

TARGET: Final = Target("m", stream=True)
TEXTS: Final = ("one", " two", ' \\ "three"', " hold", " stop", " four", " é5", " six")
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)


def loud(text: str) -> str:
    """What the client gets of a text: nothing of one, and the others in capitals."""
    return "" if "hold" in text else text.upper()


class Loud:
    """Passes words, then other texts, and changes the rest itself."""

    def __init__(self, splices: bool) -> None:
        self.splices = splices
        self.changed = list[str]()

    def change(self, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        shown = list[Event]()
        for event in events:
            if isinstance(event, TextDelta):
                self.changed.append(event.text)
                event = TextDelta(event.choice, loud(event.text))
            shown.append(event)
        return shown, list(events)

    def passing(self, choice: int) -> tuple[PassText, PassText] | None:
        def words(text: str) -> str | None:
            return loud(text) if text.strip().isalpha() and "stop" not in text else None

        def others(text: str) -> str | None:
            return None if "stop" in text else loud(text)

        return (words, others) if self.splices else None


def frames(upstream: Dialect) -> list[bytes]:
    encoder = CODECS[upstream].encoder(asked(upstream), TARGET)
    events: list[Event] = [
        Start("up-1", "m"),
        *(TextDelta(0, text) for text in TEXTS),
        Finish(0, "stop"),
    ]
    return [framed(upstream, raw) for raw in (*map(encoder.feed, events), encoder.end())]


def shown(upstream: Dialect, client: Dialect, change: Loud, pieces: Sequence[bytes]) -> list[Step]:
    request = asked(client)
    decoder = CODECS[upstream].translating_decoder(request, "")
    encoder = CODECS[client].encoder(request, TARGET)
    translator = StreamTranslator(decoder, encoder, 1, change=change)
    return [step for piece in pieces for step in translator.feed(piece)] + translator.end()


def text_of(client: Dialect, steps: list[Step]) -> str:
    decoder = CODECS[client].translating_decoder(asked(client), "")
    events = events_of([*decoder.feed(framed(client, raw_of(steps))), *decoder.end()])
    assert isinstance(events[-1], End)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_spliced_texts_are_those_that_are_encoded(upstream: Dialect, client: Dialect) -> None:
    pieces = frames(upstream)
    plain, spliced = Loud(splices=False), Loud(splices=True)
    usual, quick = (shown(upstream, client, one, pieces) for one in (plain, spliced))
    assert text_of(client, quick) == text_of(client, usual) == "".join(map(loud, TEXTS))
    assert "".join(plain.changed) == "".join(TEXTS)
    texts = [event.text for event in events_of(quick) if isinstance(event, TextDelta)]
    assert "".join(texts) == "".join(TEXTS)


@pytest.mark.parametrize("client", ["openai", "anthropic"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("join", [list, lambda pieces: [b"".join(pieces)]])
def test_texts_are_spliced_up_to_one_that_only_a_change_passes(
    upstream: Dialect, client: Dialect, join: Callable[[list[bytes]], list[bytes]]
) -> None:
    change = Loud(splices=True)
    pieces = frames(upstream)
    steps = shown(upstream, client, change, join(pieces))
    written = [step for step in steps if isinstance(step, WrittenStep)]
    if len(join(pieces)) == 1:
        assert written == []
        return
    assert " stop" in change.changed
    assert " two" not in change.changed
    passed = [event.text for event in events_of(written) if isinstance(event, TextDelta)]
    assert not {" two", ' \\ "three"', " hold", " é5", " six"} - {*passed}
    decoder = CODECS[upstream].translating_decoder(asked(client), "")
    decoder.feed(b"".join(pieces))
    assert decoder.text_bytes == sum(len(text.encode()) for text in TEXTS)
