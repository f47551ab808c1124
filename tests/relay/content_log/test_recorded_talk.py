"""P31: an entry of a realtime connection waits for a transcript, and is bounded."""

import json
import re
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple, cast
from uuid import UUID

import pytest

from content.guards.guard import Held, Looking
from content.guards.masks import Masks
from content.log.kept import Kept
from content.log.redaction import Redaction, redacting_rules
from content.log.stored import to_store
from content.rules.rules import REDACTED_BY_DEFAULT, Rule, in_order
from lib.id_types import RequestId
from lib.ids import new_id
from relay.content_log.entry import NewEntry
from relay.content_log.recorded_answer import BYTES_MAX
from relay.content_log.recorded_talk import RecordedTalk
from relay.content_log.talk import message
from relay.realtime.open_connection import record_talk
from relay.requests.outcome import Outcome

SOUND = "AAAA"
CARD: Final = "4111 1111 1111 1111"
CALLER: dict[str, Any] = {
    "organisation_id": "o", "team_id": "t", "key_id": "k", "user_id": None, "guard_rules": (),
}  # fmt: skip


class Log:
    """What is handed over."""

    def __init__(self) -> None:
        self.entries: list[NewEntry] = []
        self.dropped = 0

    def add(self, entry: NewEntry) -> None:
        self.entries.append(entry)

    def count_dropped(self, number: int) -> None:
        self.dropped += number


EVERYTHING = Rule("organisation", "", "everything", 100, 24, callers_may_opt_out=True)


def talk_of(
    log: Log,
    rules: Sequence[Rule] = (EVERYTHING,),
    now: Callable[[], float] = lambda: 1.0,
    *,
    stores: bool = True,
) -> RecordedTalk:
    principal = SimpleNamespace(**CALLER, log_rules=in_order(rules))
    context = SimpleNamespace(principal=principal, session=None)
    snapshot = SimpleNamespace(now=now, epoch=1)
    return RecordedTalk(
        cast(Any, context), cast(Any, log), cast(Any, lambda: snapshot), stores=stores
    )


class Way(NamedTuple):
    """A way in which the rules keep some responses of a connection and others not, at second 1 and
    at second 2. `share`: it is what is drawn for a response that decides, not the time or its
    status."""

    rules: Sequence[Rule]
    stores: bool = True
    share: int = 100
    fails: bool = False
    kept_at: float = 1.0

    def outcome(self, *, kept: bool) -> Outcome:
        drawn = RequestId(UUID(int=10**30 + (0 if kept else self.share)))
        return outcome(502 if self.fails and kept else 200, drawn)

    def at(self, *, kept: bool) -> float:
        return self.kept_at if kept else 3.0 - self.kept_at


_NOTHING = EVERYTHING._replace(scope="key", subject="k", keep="nothing")
WAYS = {
    "share": Way([EVERYTHING._replace(share_percent=40)], share=40),
    "errors": Way([EVERYTHING._replace(keep="errors")], fails=True),
    "rule that ended": Way([EVERYTHING._replace(until=1.5)]),
    "rule that began": Way([EVERYTHING, _NOTHING._replace(until=1.5)], kept_at=2.0),
    "store: false": Way(
        [
            EVERYTHING._replace(callers_may_opt_out=False),
            EVERYTHING._replace(scope="key", subject="k", until=1.5),
        ],
        stores=False,
        kept_at=2.0,
    ),
}
"""The ways in which a response is not kept, while another one of its connection is."""


def outcome(status: int = 200, id: RequestId | None = None) -> Outcome:
    return Outcome(id or RequestId(new_id()), status, None, "", "", {}, 0, "measured", 0, None, 1)


def respond(talk: RecordedTalk, text: str) -> None:
    result = outcome()
    talk.begin("r", result.request_id)
    talk.say("r", "i", text)
    talk.end("r", "m", result)


def stored(entry: NewEntry) -> Kept:
    redaction = Redaction(redacting_rules((), entry.redact), {})
    return to_store(entry.kept, lambda _: None, redaction, entry.cut)


def asked(entry: NewEntry) -> list[list[str]]:
    """The texts of each message of a request."""
    return asked_of(entry.kept)


def asked_of(kept: Kept) -> list[list[str]]:
    items = json.loads(kept.request)["input"]
    return [[part["text"] for part in item["content"] if "text" in part] for item in items]


def test_entry_waits_for_the_transcript_of_its_sound() -> None:
    log = Log()
    talk = talk_of(log)
    talk.transcribes = True
    talk.hear(SOUND)
    talk.put_sound("one")
    respond(talk, "Yes.")
    assert log.entries == []
    talk.write_down("Is it?", "one")
    assert [asked(entry) for entry in log.entries] == [[["Is it?"]]]


@pytest.mark.parametrize("ends", ["response", "connection"])
def test_entry_waits_no_longer_than_this(ends: str) -> None:
    log = Log()
    talk = talk_of(log)
    talk.transcribes = True
    talk.hear(SOUND)
    talk.put_sound("one")
    respond(talk, "Yes.")
    if ends == "response":
        respond(talk, "And?")
    else:
        talk.close()
    assert asked(log.entries[0]) == [[]]


@pytest.mark.parametrize(("beyond", "kept"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("part", ["ask", "say", "complete"])
def test_response_is_kept_up_to_8_mib(part: str, beyond: int, kept: int) -> None:
    log, result = Log(), outcome()
    talk = talk_of(log)
    frame = len(json.dumps({"text": ""}, separators=(",", ":")))
    size = BYTES_MAX + beyond
    if part == "ask":
        talk.ask({"text": "x" * (size - frame)})
    talk.begin("r", result.request_id)
    if part == "say":
        talk.say("r", "i", "x" * size)
    elif part == "complete":
        talk.complete("r", "i", {"text": "x" * (size - frame)})
    talk.end("r", "m", result)
    assert (len(log.entries), log.dropped) == (kept, 1 - kept)
    if kept:
        both = log.entries[0].kept.request + log.entries[0].kept.answer
        assert b"x" * (size - frame) in both


@pytest.mark.parametrize("part", ["ask", "complete", "replace"])
def test_item_takes_no_more_memory_than_its_json(part: str) -> None:
    raw = json.dumps({"type": "message", "content": [{}] * 50_000})
    talk = talk_of(Log())
    talk.begin("r", outcome().request_id)
    tracemalloc.start()
    try:
        if part == "ask":
            talk.ask(json.loads(raw))
        elif part == "complete":
            talk.complete("r", "i", json.loads(raw))
        else:
            talk.replace("r", [json.loads(raw)])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * len(raw)


@pytest.mark.parametrize(
    ("keep", "may_opt_out", "stores", "records"),
    [
        ("everything", True, True, True),
        ("errors", True, True, True),
        ("everything", False, False, True),
        ("everything", True, False, False),
        ("nothing", True, True, False),
    ],
)
def test_talk_of_which_nothing_can_be_kept_is_not_recorded(
    keep: Literal["everything", "errors", "nothing"],
    may_opt_out: bool,
    stores: bool,
    records: bool,
) -> None:
    rule = Rule("organisation", "", keep, 100, 24, callers_may_opt_out=may_opt_out)
    principal = SimpleNamespace(**CALLER, log_rules=(rule,))
    life: Any = SimpleNamespace(content_log=Log())
    snapshot = SimpleNamespace(now=lambda: 1.0)
    context: Any = SimpleNamespace(principal=principal, snapshot=snapshot)
    sink: Any = SimpleNamespace(talk=None)
    record_talk(life, context, sink, stores=stores)
    assert (sink.talk is not None) == records


def test_response_after_the_end_of_its_rule_is_not_kept() -> None:
    """Also on a connection that began before."""
    log, at = Log(), [1.0]
    rule = Rule("organisation", "", "everything", 100, 24, callers_may_opt_out=True, until=2.0)
    context: Any = SimpleNamespace(
        principal=SimpleNamespace(**CALLER, log_rules=(rule,)), session=None
    )
    snapshot = SimpleNamespace(now=lambda: at[0], epoch=1)
    talk = RecordedTalk(context, cast(Any, log), cast(Any, lambda: snapshot), stores=True)
    for time, text in ((1.9, "Before."), (2.0, "After.")):
        at[0] = time
        talk.ask(message("user", text))
        respond(talk, "Yes.")
    talk.close()
    assert [asked(entry) for entry in log.entries] == [[["Before."]]]


def test_too_large_response_is_dropped_and_counted() -> None:
    log = Log()
    talk = talk_of(log)
    for _ in range(9):
        talk.ask(message("user", "x" * 2**20))
    respond(talk, "Yes.")
    talk.ask(message("user", "Short."))
    respond(talk, "y" * 2**20 * 9)
    talk.ask(message("user", "Shorter."))
    respond(talk, "Yes.")
    assert ([asked(entry) for entry in log.entries], log.dropped) == ([[["Shorter."]]], 2)


@pytest.mark.parametrize("ends", ["broken", "failed", "whole"])
@pytest.mark.parametrize("form", ["words", "message", "call"])
def test_end_of_an_answer_that_breaks_off_is_not_stored(form: str, ends: str) -> None:
    log, result = Log(), outcome(502 if ends == "failed" else 200)
    talk, said = talk_of(log), "The card is 4111 1111 1111"
    talk.begin("r", result.request_id)
    talk.replace("r", [message("assistant", "For 12")])
    if form == "words":
        talk.say("r", "i", said)
    else:
        call = {"type": "function_call", "arguments": f'{{"of": "{said}'}
        talk.complete("r", "i", call if form == "call" else message("assistant", said))
    talk.end("r", "m", result, broken=ends == "broken")
    answer = stored(log.entries[0]).answer.decode()
    assert "For 12" in answer
    assert "The card is " in answer
    assert ("4111" in answer) == (ends == "whole")


def test_number_in_a_transcript_that_a_response_splits_is_masked() -> None:
    log = Log()
    talk = talk_of(log)
    for piece in ("My card is 41", "11 1111 11", "11 1111, and 12 of it."):
        talk.hear(SOUND)
        talk.write_down(piece)
        talk.put_sound()
        respond(talk, "Yes.")
    texts = [
        part["text"]
        for entry in log.entries
        for item in json.loads(stored(entry).request)["input"]
        for part in item["content"][1:]
    ]
    assert texts == ["My card is ", "", "<CARD_1>, and 12 of it."]


SAID: Final = "I 12: 4111 1111 1111 1111, 41 1"
THREE_PARTS: Final = [
    (one, other) for one in range(1, len(SAID), 3) for other in range(one, len(SAID))
]
KEPT_OF_THREE: Final = [
    keeps for keeps in product((True, False), repeat=3) if any(keeps) and not all(keeps[:2])
]


def stored_of(cuts: Sequence[int], keeps: Sequence[bool]) -> str:
    """What is to be stored of SAID, which is said in parts: all that is kept, but not what waits at
    the end of the last part that is. A number of which a piece is kept is masked."""
    texts, stored, kept = "", 0, set[int]()
    bounds = [0, *cuts, len(SAID)]
    for number, keeps_it in enumerate(keeps):
        if keeps_it:
            end = bounds[number + 1]
            kept |= set(range(bounds[number], end))
            held = Held(Looking(redacting_rules((), REDACTED_BY_DEFAULT), "request"), Masks())
            held.feed(SAID[:end])
            stop = end - len(held.waiting)
            texts += _text_between(stored, stop, kept)
            stored = stop
    return texts


def _text_between(begin: int, end: int, kept: set[int]) -> str:
    """What an entry has of SAID: "…" for what is not kept between two pieces of it."""
    card = SAID.index(CARD)
    number = set(range(card, card + len(CARD)))
    words = ""
    for at in range(begin, end):
        if at in number and number <= set(range(begin, end)) and number & kept:
            words += "#" if at == card else ""
        else:
            words += SAID[at] if at in kept else "_"
    return re.sub("_+", "…", words.strip("_")).replace("#", "<CARD_1>")


def talk_in_parts(way: Way, cuts: Sequence[int], keeps: Sequence[bool]) -> str:
    """Return what is stored of SAID, whose parts are the transcripts of responses."""
    log, at = Log(), [0.0]
    talk = talk_of(log, way.rules, lambda: at[0], stores=way.stores)
    for kept, begin, end in zip(keeps, [0, *cuts], [*cuts, len(SAID)], strict=True):
        at[0], result = way.at(kept=kept), way.outcome(kept=kept)
        talk.write_down(SAID[begin:end])
        talk.put_sound()
        talk.begin("r", result.request_id)
        talk.end("r", "m", result)
    assert len(log.entries) == sum(keeps)
    return "".join(
        part["text"]
        for entry in log.entries
        for item in json.loads(stored(entry).request)["input"]
        for part in item["content"]
    )


@pytest.mark.parametrize("way", WAYS)
def test_end_of_a_response_that_is_not_kept_is_in_no_entry(way: str) -> None:
    """Wherever a response splits what is said."""
    for cut, keeps in product(range(1, len(SAID)), ((True, False), (False, True))):
        assert talk_in_parts(WAYS[way], [cut], keeps) == stored_of([cut], keeps), (cut, keeps)


def test_ends_of_several_responses_are_in_no_entry() -> None:
    """Whichever of three are kept."""
    for cuts in THREE_PARTS:
        for keeps in KEPT_OF_THREE:
            assert talk_in_parts(WAYS["share"], cuts, keeps) == stored_of(cuts, keeps), (
                cuts,
                keeps,
            )


@pytest.mark.parametrize(
    ("keeps", "texts"),
    [
        ((True, True), ["11, ", "It is ", "12."]),
        ((True, False), ["It is ", "41…."]),
        ((False, True), ["11, ", "12."]),
        ((False, False), ["."]),
    ],
)
def test_response_that_ends_before_an_earlier_one_has_nothing_of_it(
    keeps: Sequence[bool], texts: Sequence[str]
) -> None:
    """Until the other one is settled, nobody knows whether it is kept."""
    way, log = WAYS["share"], Log()
    talk = talk_of(log, way.rules)
    first, second = (way.outcome(kept=kept) for kept in keeps)
    third = way.outcome(kept=True)
    for key, text, result in (("1", "It is 41", first), ("2", "11, 12", second), ("3", ".", third)):
        talk.write_down(text)
        talk.put_sound()
        talk.begin(key, result.request_id)
    for key, result in (("2", second), ("1", first), ("3", third)):
        talk.end(key, "m", result)
    assert [asked_of(stored(entry))[0][0] for entry in log.entries] == texts


def test_end_of_a_response_that_is_too_large_is_in_no_entry() -> None:
    log = Log()
    talk = talk_of(log)
    for text in ("x" * BYTES_MAX + " 4111", ", 12."):
        talk.write_down(text)
        talk.put_sound()
        respond(talk, "Yes.")
    assert log.dropped == 1
    assert [asked_of(stored(entry)) for entry in log.entries] == [[[", 12."]]]


def test_sound_that_is_taken_back_is_not_counted() -> None:
    log = Log()
    talk = talk_of(log)
    talk.hear(SOUND)
    talk.forget_sound()
    talk.put_sound("one")
    respond(talk, "Yes.")
    assert asked(log.entries[0]) == []
