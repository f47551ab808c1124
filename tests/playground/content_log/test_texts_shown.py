"""How much of kept texts is shown, what they cost together, and what a new chat takes of them."""

import pytest

from content.log.session_log import read_session_log
from dialects.chat.chat import ChatRequest, FunctionTool
from playground.content_log.articles import SHOWN_MAX, shortened
from playground.content_log.chat_file import exported_chat
from playground.content_log.story_page import story_context
from tests.playground.content_log.test_conversation import reader
from tests.playground.content_log.test_session_conversation import asked, work
from tests.support.cast import Cast, actor


def test_text_that_is_cut_says_how_much_is_missing() -> None:
    assert shortened("x" * SHOWN_MAX)["more"] == 0
    cut = shortened("a\n b" + "x" * SHOWN_MAX)
    assert (len(cut["text"]), cut["more"]) == (SHOWN_MAX, 4)
    assert cut["line"].startswith("a bxx")


@pytest.mark.django_db
def test_session_costs_what_its_steps_cost_together(people: Cast) -> None:
    reader(people)
    session = work(people, (asked("One"), "Two"), (asked("Three"), "Four"))
    by = actor(people.bob, people.acme)
    shown = story_context(by, session, read_session_log(by, session, "why"))
    assert [step["turn"].charge_nano for step in shown["steps"]] == [10**6, 2 * 10**6]
    assert shown["charge_nano"] == 3 * 10**6


def test_chat_made_of_a_request_has_its_tools_and_settings() -> None:
    schema = {"type": "object", "properties": {}}
    request = ChatRequest(
        dialect="openai", request_id="", received_at=0, model="m", messages=(),
        temperature=0.5, output_cap=99,
        tools=(FunctionTool("look", "Looks it up.", schema),),
    )  # fmt: skip
    settings = exported_chat("m", request).settings
    (tool,) = settings["tools"]
    assert tool == {"name": "look", "description": "Looks it up.", "parameters": schema}
    assert settings["params"] == {"temperature": 0.5, "max_output": 99}
