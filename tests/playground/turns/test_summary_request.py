"""A chat longer than its model's context goes on with a summary of its oldest turns."""

from dataclasses import replace

import pytest

from accounts.models import Key
from content.prompts.settings import Settings
from gateway.providers.capabilities import UNKNOWN
from lib.ids import new_id
from playground.models import Message
from playground.payers.paying import Payer
from playground.turns import summaries
from playground.turns.context_window import apply_summary, context_of
from playground.turns.request import ChatMessage, build_request, context_for, left_out
from playground.turns.summaries import excerpt_to_summarise
from playground.turns.summary_request import SUMMARY_TOKENS_MAX, portions, summary_request
from playground.turns.turns import Column, TurnForm

PATH = [
    ChatMessage("user", "Hello", {"files": [{"name": "plan.pdf", "kind": "file", "size": 9,
                                      "media_type": "application/pdf"}]}),
    ChatMessage("assistant", "", {"calls": [{"id": "c", "name": "f", "arguments": '{"a":1}'}]}),
    ChatMessage("tool", "", {"results": [{"call_id": "c", "content": "sunny"}]}),
    ChatMessage("assistant", "Hi", {"summary": [{"text": "They met."}]}),
    ChatMessage("user", "And now?"),
]  # fmt: skip


def test_portions_contain_the_whole_conversation() -> None:
    (portion,) = portions(PATH, 8_000)
    assert portion == (
        'User: [plan.pdf]\nHello\n\nAssistant: f({"a":1})\n\nTool: sunny\n\n'
        "Assistant: Hi\n\nUser: And now?"
    )


def test_a_portion_fits_into_half_of_the_context() -> None:
    long = [ChatMessage("user", "abcd" * 300)] * 4 + [ChatMessage("user", "x" * 9_000)]
    texts = list(portions(long, 1_000))
    assert [text.count("User: ") for text in texts] == [1, 1, 1, 1, 1]
    assert [len(text) for text in texts] == [1_206] * 4 + [1_506]
    assert len(list(portions(long[:4], 1_200))) == 2


def test_portion_is_requested_with_its_predecessors_summary() -> None:
    body = summary_request("m", "They met.", "User: And now?", UNKNOWN)
    assert body["messages"][1]["content"] == (
        "Summary of what was said before: They met.\n\nUser: And now?"
    )
    assert summary_request("m", "", "x", UNKNOWN)["messages"][1]["content"] == "x"
    assert SUMMARY_TOKENS_MAX in body.values()


def test_summary_replaces_the_turns() -> None:
    assert apply_summary(PATH) == (4, "They met.")
    assert apply_summary(PATH[:3]) == (0, "")
    body = build_request("m", PATH, Settings(system="Be kind."), UNKNOWN, {})
    assert body["messages"] == [
        {"role": "system", "content": "Be kind.\n\nWhat was said before, in short:\n\nThey met."},
        {"role": "user", "content": "And now?"},
    ]
    context = context_of(PATH, 10, 4)
    assert (context.history, context.turns_left_out, context.turns_summarised) == (0, 0, 1)


def test_text_after_a_summary_may_be_omitted_too() -> None:
    path = [*PATH, ChatMessage("assistant", "abcd" * 400), ChatMessage("user", "Last")]
    small = replace(UNKNOWN, context_max=300)
    assert left_out(path, Settings(), small) == 4
    assert left_out(path, Settings(trim=True), small) == 6
    assert context_for(path, Settings(trim=True), small)[-2:] == (1, 1)


def test_each_summary_goes_on_where_the_one_before_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat grows beyond its context three times: each time, the summary covers further turns."""
    can, chat, ends = replace(UNKNOWN, context_max=4_000), list[Message](), [0]
    monkeypatch.setattr(summaries, "capabilities_of_model", lambda _model: can)
    monkeypatch.setattr(summaries, "messages_before", lambda form: chat)
    form = TurnForm((Column("m"),), "Go on", new_id(), Payer(Key()))
    while len(ends) < 4:
        excerpt = excerpt_to_summarise(form)
        assert excerpt.begin == ends[-1]
        if excerpt.end == excerpt.begin:
            chat += [Message(role=role, content="abcd" * 150) for role in ("user", "assistant")]
            continue
        # Whole turns, as many as it takes for the rest to fit.
        assert excerpt.path[excerpt.end].role == "user"
        assert excerpt.before == ("" if len(ends) == 1 else f"Summary {len(ends) - 1}")
        assert excerpt.last is chat[excerpt.end - 1]
        excerpt.last.parts = {"summary": [{"text": f"Summary {len(ends)}"}]}
        ends.append(excerpt.end)
        assert excerpt_to_summarise(form)[2:4] == (ends[-1], ends[-1]), "the rest fits"
    assert ends == sorted(set(ends))
