import pytest

from dialects.chat.chat import (
    Base64,
    File,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.events import Seal, SealOwner
from dialects.chat.turns import (
    MergedMessage,
    call_names,
    derive_id,
    mark_seal,
    merge_messages,
    move_results_to_calls,
    read_seal,
    replace_urls,
    split_system,
    urls,
)
from tests.dialects.neutral import request

OWNERS: tuple[SealOwner, ...] = ("anthropic", "openai", "gemini")
A, B = Text("a"), Text("b")


def test_split_system() -> None:
    user = Message("user", (A,))
    messages = (Message("system", (A, Text(""))), user, Message("developer", (B,)))
    assert split_system(messages) == ((A, B), (user,))


def test_merge_messages() -> None:
    calls = (ToolCall("1", "f", ""), ToolCall("2", "g", ""))
    first, second = ToolResult("1", (A,)), ToolResult("2", ())
    messages = (
        Message("user", (A,)),
        Message("user", (B, Text(""))),
        Message("assistant", (Text(""),)),
        Message("assistant", calls),
        Message("tool", (second,)),
        Message("user", (B,)),
        Message("tool", (first,)),
    )
    assert merge_messages(messages) == (
        MergedMessage("user", (A, B)),
        MergedMessage("assistant", calls),
        MergedMessage("user", (first, second, B)),
    )
    assert call_names(messages) == {"1": "f", "2": "g"}


def test_results_follow_their_calls_directly() -> None:
    """OpenAI: a message with tool_calls must be followed by tool messages for each of them."""
    user, assistant = Message("user", (A,)), Message("assistant", (ToolCall("1", "f", ""),))
    first, second = (Message("tool", (ToolResult(id_, ()),)) for id_ in "12")
    assert move_results_to_calls(
        (user, assistant, user, first, user, second, assistant, user, first)
    ) == (user, assistant, first, second, user, user, assistant, first, user)
    assert move_results_to_calls((user, first, user)) == (user, first, user)


def test_results_of_unknown_calls_come_last() -> None:
    unknown, known = ToolResult("x", ()), ToolResult("1", ())
    call = Message("assistant", (ToolCall("1", "f", ""),))
    turns = merge_messages((call, Message("tool", (unknown,)), Message("tool", (known,))))
    assert turns[1].parts == (known, unknown)


def test_urls_are_found_and_replaced_everywhere() -> None:
    page, picture = Url("https://a.org/p"), Url("https://a.org/i")
    chat_request = request(
        Message("user", (File(page), Image(picture), Image(picture), Image(Base64("", "x")), A)),
        Message("assistant", (ToolCall("1", "f", ""), Reasoning("r"))),
        Message("tool", (ToolResult("1", (Image(picture), B)),)),
        Message("user", (Video(page),)),
    )
    assert urls(chat_request, lambda part: True) == (page.url, picture.url)
    assert urls(chat_request, lambda part: isinstance(part, Image)) == (picture.url,)
    fetched = replace_urls(chat_request, {picture.url: Base64("AA==", "image/png")})
    assert urls(fetched, lambda part: True) == (page.url,)
    assert fetched.messages[2].parts == (ToolResult("1", (Image(Base64("AA==", "image/png")), B)),)


def test_derived_ids() -> None:
    derived = derive_id("call_", "r", 0, 1)
    assert derived == derive_id("call_", "r", 0, 1)
    assert derived != derive_id("call_", "r", 0, 2)
    assert len(derived) == len("call_") + 24


@pytest.mark.parametrize("owner", OWNERS)
def test_seals_are_marked_in_foreign_members(owner: SealOwner) -> None:
    seal = Seal(owner, "a:b")
    for member in OWNERS:
        marked = mark_seal(seal, member)
        assert marked == ("a:b" if member == owner else f"{owner}:a:b")
        assert read_seal(marked, member) == seal


def test_an_unmarked_seal_is_that_of_its_member() -> None:
    assert read_seal("gemini", "anthropic") == Seal("anthropic", "gemini")
