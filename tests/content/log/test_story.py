"""A session's requests as one story: nothing twice, nothing left out, and every change named."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.log.conversation import Exchange, Piece, Turn, exchange_of
from content.log.kept import Kept
from content.log.story import Item, Step, fold_story, items_of

# Few texts, so that histories meet.
_TEXTS = st.sampled_from(["a", "b", "c"])
_PIECES = st.one_of(
    st.tuples(st.just("text"), _TEXTS),
    st.tuples(st.just("tool_call"), st.sampled_from(['{"a":1}', "{}"]), st.just("read")),
    st.tuples(st.just("reasoning"), _TEXTS),
).map(lambda fields: Piece(*fields))
_SEVERAL = st.lists(_PIECES, min_size=1, max_size=2).map(tuple)
_TURNS = st.tuples(st.sampled_from(["user", "assistant"]), _SEVERAL).map(lambda turn: Turn(*turn))
_INSTRUCTIONS = _TEXTS.map(lambda words: Turn("system", (Piece("text", words),)))
_EXCHANGES = st.tuples(
    st.lists(_INSTRUCTIONS, max_size=1),
    st.lists(_TURNS, max_size=4),
    st.lists(_SEVERAL.map(lambda pieces: Turn("assistant", pieces)), max_size=2),
).map(lambda drawn: Exchange((*drawn[0], *drawn[1]), tuple(drawn[2])))


def bare(items: list[Item] | tuple[Item, ...]) -> tuple[Item, ...]:
    """Items without their reasoning, which is not compared."""
    return tuple(item._replace(thoughts=()) for item in items if item.piece.kind != "reasoning")


def history_of(exchange: Exchange) -> tuple[Item, ...]:
    return bare([item for item in items_of(exchange.request) if item.role != "system"])


def text(role: str, words: str) -> Turn:
    return Turn(role, (Piece("text", words),))


def story(*exchanges: Exchange) -> list[Step]:
    return fold_story(exchanges)


def words_of(items: tuple[Item, ...]) -> list[str]:
    return [item.piece.text for item in items]


@given(st.lists(_EXCHANGES, max_size=6))
def test_every_message_of_every_request_appears_exactly_once_in_order(
    exchanges: list[Exchange],
) -> None:
    # Reasoning at the end of a turn is a part of its own.
    plain = [
        exchange._replace(
            request=tuple(
                turn for turn in exchange.request
                if any(piece.kind != "reasoning" for piece in turn.pieces[-1:])
            )
        )
        for exchange in exchanges
    ]  # fmt: skip
    steps = fold_story(plain)
    histories = [history_of(exchange) for exchange in plain]
    paths = [
        [history + bare(answer) for answer in step.answered or ((),)]
        for history, step in zip(histories, steps, strict=True)
    ]
    for number, (history, step) in enumerate(zip(histories, steps, strict=True)):
        assert bare(step.asked) == history[step.shared :]
        if step.after is None:
            assert step.shared == 0
        else:
            assert step.after < number
            known = history[: step.shared]
            assert any(path[: step.shared] == known for path in paths[step.after])
        before = histories[:number] + [path for some in paths[:number] for path in some]
        for length in range(1, len(history) + 1):
            sent_before = any(path[:length] == history[:length] for path in before)
            assert sent_before == (length <= step.shared)
    shown = [words for step in steps for words in words_of(step.instructions)]
    sent = [item.piece.text for exchange in plain for item in items_of(exchange.request)
            if item.role == "system"]  # fmt: skip
    assert shown == list(dict.fromkeys(sent))


@given(st.lists(st.tuples(_TURNS, _PIECES.filter(lambda p: p.kind != "reasoning")), min_size=1))
def test_growing_conversation_is_told_once(rounds: list[tuple[Turn, Piece]]) -> None:
    turns: tuple[Turn, ...] = ()
    exchanges = []
    for number, (asked, answered) in enumerate(rounds):
        asked = Turn("user", (*asked.pieces, Piece("text", f"question {number}")))
        answer = Turn("assistant", (Piece("reasoning", "hm"), answered))
        exchanges.append(Exchange((*turns, asked), (answer,)))
        # A client leaves the reasoning out, and writes calls in its own way.
        turns = (*turns, asked, Turn("assistant", (answered._replace(text=answered.text + " "),)))
    steps = fold_story(exchanges)
    assert [step.kind for step in steps] == ["begins"] + ["continues"] * (len(rounds) - 1)
    assert [step.after for step in steps] == [None, *range(len(rounds) - 1)]
    for number, step in enumerate(steps):
        assert words_of(step.asked)[-1] == f"question {number}"
        assert step.answered[0][0].thoughts == ("hm",)
    for one, other in pairwise(steps):
        assert one.shared < other.shared


def test_same_answer_again_hides_nothing_that_followed_it() -> None:
    """A request is sent again and answered alike, then the first conversation goes on."""
    turns = [text("user", "a"), text("assistant", "x"), text("user", "b"), text("assistant", "y")]
    first = Exchange(tuple(turns[:1]), (turns[1],))
    steps = story(
        first,
        Exchange(tuple(turns[:3]), (turns[3],)),
        first,
        Exchange((*turns, text("user", "c")), (text("assistant", "z"),)),
    )
    assert [(step.kind, step.after, step.shared) for step in steps] == [
        ("begins", None, 0), ("continues", 0, 2), ("repeats", 0, 1), ("continues", 1, 4),
    ]  # fmt: skip
    assert words_of(steps[3].asked) == ["c"]


def test_changed_history_starts_a_branch_and_says_where() -> None:
    asked, answer = text("user", "List the files"), text("assistant", "a.py b.py")
    summary = text("user", "Summary: two files")
    first, second, third = story(
        Exchange((asked,), (answer,)),
        Exchange((asked, answer, text("user", "Read a.py")), (text("assistant", "It is empty"),)),
        Exchange((asked, text("assistant", "a.py"), text("user", "Read a.py"))),
    )
    assert (first.kind, second.kind) == ("begins", "continues")
    assert (third.kind, third.after, third.shared) == ("branches", 0, 1)
    assert words_of(third.asked) == ["a.py", "Read a.py"]
    (_, begun) = story(Exchange((asked,), (answer,)), Exchange((summary,)))
    assert (begun.kind, begun.after) == ("begins", None)


def test_failed_request_is_sent_again_or_left_behind() -> None:
    asked, more = text("user", "Hello"), text("user", "Are you there?")
    failed, again, on = story(Exchange((asked,)), Exchange((asked,)), Exchange((asked, more)))
    assert (failed.kind, again.kind, again.after) == ("begins", "repeats", 0)
    assert (on.kind, on.after, words_of(on.asked)) == ("continues", 1, ["Are you there?"])


def test_answer_is_shown_even_if_it_is_the_same_again() -> None:
    once = Exchange((text("user", "Hello"),), (text("assistant", "Hi"),))
    _, again = story(once, once)
    assert [words_of(answer) for answer in again.answered] == [["Hi"]]


def test_two_agents_of_a_session_have_each_their_own_conversation() -> None:
    main, helper = text("user", "Mend it"), text("user", "Search for it")
    done = text("assistant", "Done")
    steps = story(
        Exchange((text("system", "You lead"), main), (text("assistant", "Help!"),)),
        Exchange((text("system", "You help"), helper), (done,)),
        Exchange((text("system", "You lead"), main, text("assistant", "Help!"), done)),
    )
    assert [step.kind for step in steps] == ["begins", "begins", "continues"]
    assert steps[2].after == 0
    assert [words_of(step.instructions) for step in steps] == [["You lead"], ["You help"], []]


def test_response_that_names_the_one_before_continues_it() -> None:
    asked, more = text("user", "Hello"), text("user", "More")
    _, other, third = story(
        Exchange((asked,), (text("assistant", "Hi"),), "resp_1"),
        Exchange((text("user", "Something else"),)),
        Exchange((more,), continues="resp_1"),
    )
    assert other.kind == "begins"
    assert (third.kind, third.after, words_of(third.asked)) == ("continues", 0, ["More"])


def test_pictures_are_told_apart_by_what_they_show() -> None:
    one, other = (Turn("user", (Piece("media", "", "Image", "image/png", 3, sha),)) for sha in "ab")
    _, second = story(Exchange((one,)), Exchange((other,)))
    assert second.kind == "begins"


@pytest.mark.parametrize("arguments", ["[" * 100_000, "{", "NaN", '{"a": 1e999}', "\x00", ""])
def test_hostile_arguments_of_a_call_are_compared_as_text(arguments: str) -> None:
    call = Turn("assistant", (Piece("tool_call", arguments, "run"),))
    first, second = story(Exchange((), (call,)), Exchange((call, text("user", "Go on"))))
    assert second.kind == "begins" or second.after == 0
    assert words_of(first.answered[0]) == [arguments]


def test_result_has_the_name_of_the_tool_that_was_called() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Read it"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "empty"},
    ]
    body = json.dumps({"model": "gpt-5", "messages": messages}).encode()
    exchange = exchange_of(Kept(body, error="away"), "openai", "gpt-5")
    assert exchange is not None
    assert exchange.request[-1].pieces == (Piece("tool_result", "empty", "read"),)
