"""P31: what is said in each minute of a Live session is kept once, in its order, masked across
pieces, and bounded."""

import json
from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, cast

import pytest

from dialects.realtime.live import read_server_event
from lib.id_types import RequestId
from lib.ids import new_id
from relay.content_log import spoken_minutes
from relay.content_log.recorded_answer import BYTES_MAX
from relay.content_log.spoken_minutes import Side, SpokenMinutes
from relay.realtime.live.live_events import record_received
from tests.relay.content_log.test_recorded_talk import (
    CARD,
    KEPT_OF_THREE,
    SAID,
    THREE_PARTS,
    WAYS,
    Log,
    Way,
    outcome,
    stored,
    stored_of,
    talk_of,
)

MINUTE = 60_000


class Session:
    """A session with some minutes, and its entries."""

    def __init__(self, minutes: int) -> None:
        self.log = Log()
        self.talk = SpokenMinutes(talk_of(self.log))
        self.settled = 0
        self.ids = [RequestId(new_id()) for _ in range(minutes)]
        for number, id in enumerate(self.ids, 1):
            self.talk.open(id, number * MINUTE)

    def say(self, side: Side, text: str, at_ms: int) -> None:
        self.talk.reach(at_ms)
        self.talk.say(side, text, at_ms, at_ms)

    def end(self, id: RequestId, status: int = 200, **options: bool) -> None:
        self.settled += 1
        self.talk.end(id, "m", outcome(status, id), **options)

    def close(self, *, ends: bool = True) -> None:
        """End the session: all minutes that were not settled are."""
        self.talk.close(ends=ends)
        for id in self.ids[self.settled :]:
            self.end(id, used=False)

    def said(self) -> list[list[tuple[str, str]]]:
        """What is stored of each entry: who said what."""
        return [_said(entry) for entry in self.log.entries]

    def texts(self, side: Side) -> str:
        return "".join(text for minute in self.said() for who, text in minute if who == side)


def _said(entry: Any) -> list[tuple[str, str]]:
    kept = stored(entry)
    items = [*json.loads(kept.request)["input"], *json.loads(kept.answer)["output"]]
    return [(item["role"], part["text"]) for item in items for part in item["content"]]


def test_sides_that_speak_at_once_are_kept_whole() -> None:
    session = Session(1)
    for number in range(8):
        session.say("user", f"u{number} ", 200 * number)
        session.say("assistant", f"a{number} ", 200 * number + 100)
    session.say("user", "Well.", 5_000)
    session.close()
    whole = "".join(f"u{number} " for number in range(8))
    assert session.said() == [
        [("user", whole), ("assistant", whole.replace("u", "a")), ("user", "Well.")]
    ]


def test_minute_begins_when_the_provider_is_past_the_one_before() -> None:
    session = Session(3)
    session.say("user", "One.", 59_999)
    session.say("assistant", "Still one.", 60_000)
    session.say("user", "Two.", 60_001)
    session.say("assistant", "Late.", 59_000)
    session.say("user", "Three.", 130_000)
    session.close()
    assert session.said() == [
        [("user", "One."), ("assistant", "Still one.")],
        [("user", "Two."), ("assistant", "Late.")],
        [("user", "Three."), ("assistant", " ")],
    ]
    assert [entry.request_id for entry in session.log.entries] == session.ids


def test_what_is_said_after_its_minute_was_settled_belongs_to_the_next() -> None:
    session = Session(2)
    session.say("user", "One.", 1_000)
    session.end(session.ids[0])
    session.say("user", "Late.", 2_000)
    session.close()
    assert session.said() == [[("user", "One.")], [("user", "Late.")]]


def test_silent_minute_is_kept_if_it_was_used() -> None:
    session = Session(3)
    session.talk.close(ends=True)
    session.end(session.ids[0])
    session.end(session.ids[1])
    session.end(session.ids[2], used=False)
    assert session.said() == [[], []]


def test_minute_that_was_not_used_is_left_out() -> None:
    session = Session(3)
    session.talk.close(ends=True)
    session.end(session.ids[0])
    session.end(session.ids[1], used=False)
    session.end(session.ids[2])
    assert [entry.request_id for entry in session.log.entries] == [session.ids[0], session.ids[2]]


@pytest.mark.parametrize("side", ["user", "assistant"])
@pytest.mark.parametrize("apart_ms", [0, 2_000, MINUTE])
def test_number_that_is_said_in_pieces_is_masked(side: Side, apart_ms: int) -> None:
    """Wherever it is cut, while the other side speaks in between, and over minutes."""
    other: Side = "assistant" if side == "user" else "user"
    text = f"It is {CARD}, 12"
    for first, second in combinations(range(1, len(text)), 2):
        session = Session(3)
        for number, piece in enumerate((text[:first], text[first:second], text[second:])):
            session.say(side, piece, number * apart_ms + 100)
            session.say(other, "Yes.", number * apart_ms + 1_500)
        session.close()
        assert session.texts(side).strip() == "It is <CARD_1>, 12", (first, second)
        assert session.texts(other).strip() == "Yes.Yes.Yes."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", ["user", "assistant"])
def test_end_of_a_minute_that_is_not_kept_is_in_no_entry(side: Side, way: str) -> None:
    """Wherever a minute splits what is said, while the other side speaks too."""
    for cut, keeps in product(range(1, len(SAID)), ((True, False), (False, True))):
        assert speak_in_minutes(WAYS[way], side, [cut], keeps) == stored_of([cut], keeps)


@pytest.mark.parametrize("settled", ["late", "at once"])
def test_ends_of_several_minutes_are_in_no_entry(settled: str) -> None:
    """Whichever of three are kept, and also if the next one is over before one is settled."""
    for cuts in THREE_PARTS:
        for keeps in KEPT_OF_THREE:
            texts = speak_in_minutes(WAYS["share"], "user", cuts, keeps, late=settled == "late")
            assert texts == stored_of(cuts, keeps), (cuts, keeps)


def speak_in_minutes(
    way: Way, side: Side, cuts: Sequence[int], keeps: Sequence[bool], *, late: bool = False
) -> str:
    """Return what is stored of SAID, whose parts one side says in minutes. `late`: a minute is
    settled after the next one is over."""
    session, at = Session(len(keeps)), [0.0]
    talk = talk_of(session.log, way.rules, lambda: at[0], stores=way.stores)
    session.talk = SpokenMinutes(talk)
    outcomes = [way.outcome(kept=kept) for kept in keeps]
    for number, result in enumerate(outcomes):
        session.talk.open(result.request_id, (number + 1) * MINUTE)

    def settle(number: int) -> None:
        at[0], id = way.at(kept=keeps[number]), outcomes[number].request_id
        session.talk.end(id, "m", outcomes[number])

    other: Side = "assistant" if side == "user" else "user"
    bounds = [0, *cuts, len(SAID)]
    for number in range(len(keeps)):
        session.say(other, "Yes.", number * MINUTE + 1)
        if piece := SAID[bounds[number] : bounds[number + 1]]:
            session.say(side, piece, number * MINUTE + 2)
        if number and late:
            settle(number - 1)
        elif not late:
            settle(number)
    if late:
        session.talk.close(ends=False)
        settle(len(keeps) - 1)
    assert len(session.log.entries) == sum(keeps)
    assert session.texts(other) == "Yes." * sum(keeps)
    return session.texts(side)


@pytest.mark.parametrize(("second", "gap"), [("", ""), (" or Ben", "…")])
def test_end_of_a_minute_is_stored_with_the_next_one_that_is_kept(second: str, gap: str) -> None:
    """Any word may begin an address of email."""
    session, way = Session(4), WAYS["share"]
    rule = way.rules[0]._replace(redact=("email",))
    session.talk = SpokenMinutes(talk_of(session.log, [rule]))
    outcomes = [way.outcome(kept=kept) for kept in (True, False, True, True)]
    texts = ("Please call Anna", second, " at noon", ", bye")
    for number, (result, text) in enumerate(zip(outcomes, texts, strict=True)):
        session.talk.open(result.request_id, (number + 1) * MINUTE)
        if text:
            session.say("user", text, number * MINUTE + 1)
        if result is outcomes[-1]:
            session.talk.close(ends=True)
        session.talk.end(result.request_id, "m", result)
    assert session.texts("user") == f"Please call Anna{gap} at noon, bye"


def test_words_stay_where_they_were_said_if_nothing_goes_on() -> None:
    session = Session(1)
    for number, text in enumerate(("Room 12", f"Card {CARD}.", "12", "12")):
        session.say("user", text, number * 4_000)
        session.say("assistant", "12", number * 4_000 + 2_000)
    session.close()
    texts = [text for _, text in session.said()[0]]
    assert texts == ["Room 12", "12", "Card <CARD_1>.", "12", "12", "12", "12", "12"]


@pytest.mark.parametrize("ends", [True, False])
def test_end_of_a_session_that_breaks_off_is_not_stored(ends: bool) -> None:
    session = Session(2)
    session.say("user", "My card is 4111", 1_000)
    session.say("assistant", "Is it 4111", 61_000)
    session.close(ends=ends)
    assert session.texts("user").strip() == ("My card is 4111" if ends else "My card is")
    assert session.texts("assistant") == ("Is it 4111" if ends else "Is it ")


@pytest.mark.parametrize(("beyond", "kept"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("part", ["tell", "say"])
def test_minute_is_kept_up_to_8_mib(part: str, beyond: int, kept: int) -> None:
    session = Session(2)
    frame = len(json.dumps({"text": ""}, separators=(",", ":")))
    message = len(json.dumps(_message(""), separators=(",", ":")))
    if part == "tell":
        session.talk.tell({"text": "x" * (BYTES_MAX - frame + beyond)})
    else:
        session.say("user", "x" * (BYTES_MAX - message + beyond), 0)
    session.end(session.ids[0])
    session.say("user", "Short.", 61_000)
    session.end(session.ids[1])
    assert (len(session.log.entries), session.log.dropped) == (1 + kept, 1 - kept)
    assert _said(session.log.entries[-1]) == [("user", "Short.")]


def _message(text: str) -> dict[str, Any]:
    part = {"type": "input_text", "text": text}
    return {"type": "message", "role": "user", "content": [part]}


def test_items_that_no_response_reads_are_kept_with_the_last_minute() -> None:
    session = Session(1)
    session.talk.delegated.ask({"type": "function_call_output", "output": f"42, {CARD}"})
    session.close()
    (((role, text),),) = session.said()
    assert (role, json.loads(text)["output"]) == ("developer", "42, <CARD_1>")


@pytest.mark.parametrize(("beyond", "kept"), [(0, True), (1, False)])
def test_items_that_no_response_reads_are_bounded(beyond: int, kept: bool) -> None:
    log = Log()
    talk, frame = talk_of(log), len(json.dumps({"text": ""}, separators=(",", ":")))
    talk.ask({"text": "x" * (BYTES_MAX - frame + beyond)})
    assert (len(talk.take_back()), log.dropped) == (kept, not kept)
    assert talk.take_back() == []


@pytest.mark.parametrize("part", ["tell", "say"])
def test_minute_that_is_too_large_takes_no_more_memory(part: str) -> None:
    """What is beyond the bound is not held, and the entry is dropped and counted."""
    session = Session(1)
    for number in range(12):
        if part == "tell":
            session.talk.tell({"text": "x" * 2**20})
        else:
            session.say("user", "x" * 2**20, number * 4_000)
            session.say("assistant", "", number * 4_000 + 2_000)
    held = sum(
        len(bytes(one.item)) if isinstance(one, spoken_minutes._WholeItem) else len(one.text)
        for one in session.talk._parts
    )
    session.close()
    assert held <= BYTES_MAX
    assert (session.log.entries, session.log.dropped) == ([], 1)


def test_messages_of_a_minute_are_bounded() -> None:
    session = Session(1)
    for number in range(600):
        session.say("user", "u", number * 4_000 % MINUTE)
        session.say("assistant", "a", number * 4_000 % MINUTE + 2_000)
    session.talk.reach(0)
    for number in range(600):
        session.say("user", "u", 10_000 * (number + 1))
        session.say("assistant", "a", 10_000 * (number + 1) + 5_000)
    session.close()
    (said,) = session.said()
    assert len(said) == spoken_minutes._RUNS_MAX
    assert (session.texts("user"), session.texts("assistant")) == ("u" * 1200, "a" * 1200)


def test_minutes_that_wait_for_their_settlement_are_bounded() -> None:
    session = Session(5)
    for number in range(5):
        session.say("user", f"{number}.", number * MINUTE + 1_000)
    session.close()
    assert session.said() == [
        *([("user", f"{number}.")] for number in range(spoken_minutes._UNSETTLED_MAX)),
        [("user", "2.3.4.")],
    ]


@pytest.mark.parametrize("start", [None, "soon", True, 1.5])
def test_transcript_without_a_place_is_kept(start: Any) -> None:
    session = Session(1)
    event = {"type": "session.input_transcript.delta", "delta": "Hello.", "start_ms": start}
    raw = json.dumps(event).encode()
    record_received(session.talk, read_server_event(raw), raw)
    session.close()
    assert session.said() == [[("user", "Hello.")]]


def test_only_failed_minutes_of_a_session_are_marked() -> None:
    session = Session(2)
    session.say("user", "One.", 1_000)
    session.end(session.ids[0])
    session.say("user", "Two.", 61_000)
    session.talk.close(ends=False)
    session.end(session.ids[1], 502, broken=True)
    kept = [cast(Any, entry).kept for entry in session.log.entries]
    assert [(one.broken, bool(one.error)) for one in kept] == [(False, False), (True, False)]
