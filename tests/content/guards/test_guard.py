"""P40: what a rule finds in a text, it finds in its pieces; no forbidden span leaves, or a part."""

from collections.abc import Iterator

import pytest

from content.guards.guard import Checked, Held, Looking, check
from content.guards.masks import Masks, Restored, restore
from content.guards.rules import Action, GuardRule, Place


def rule(action: Action = "mask", guard: str = "email", *places: Place) -> GuardRule:
    return GuardRule(guard, {}, list(places or ("request", "answer")), action, f"no_{guard}")


def streamed(rules: list[GuardRule], pieces: list[str]) -> Checked:
    held = Held(Looking(rules, "answer"), Masks())
    outs = [*(held.feed(piece) for piece in pieces), held.end()]
    flags = dict.fromkeys(code for out in outs for code in out.flags)
    masked = {placeholder: text for out in outs for placeholder, text in out.masked.items()}
    return Checked("".join(out.text for out in outs), outs[-1].refused_by, masked, tuple(flags))


def cuts(text: str) -> Iterator[list[str]]:
    """Yield the text cut at each place, at each two places near each other, and into characters."""
    for first in range(len(text) + 1):
        for second in range(first, min(first + 6, len(text)) + 1):
            yield [text[:first], text[first:second], text[second:]]
    yield list(text)


def test_a_mask_stands_for_the_same_text_each_time() -> None:
    masks = Masks()
    out = check([rule()], "request", "bob@x.com, eve@x.com, bob@x.com", masks)
    assert out.text == "<EMAIL_1>, <EMAIL_2>, <EMAIL_1>"
    assert out.masked == {"<EMAIL_1>": "bob@x.com", "<EMAIL_2>": "eve@x.com"}
    assert restore(masks, out.text) == "bob@x.com, eve@x.com, bob@x.com"


def test_a_rule_looks_only_in_its_places() -> None:
    only_tools = [rule("refuse", "email", "tool_call")]
    assert check(only_tools, "answer", "bob@x.com", Masks()).refused_by is None
    assert check(only_tools, "tool_call", "bob@x.com", Masks()).refused_by == only_tools[0]


def test_a_refusal_ends_the_text_before_the_finding() -> None:
    out = check([rule("mask"), rule("refuse")], "request", "to bob@x.com", Masks())
    assert out.text == "to "
    assert out.refused_by == rule("refuse")


def test_a_flag_lets_the_text_pass() -> None:
    out = check([rule("flag")], "request", "to bob@x.com", Masks())
    assert (out.text, out.flags) == ("to bob@x.com", ("no_email",))


@pytest.mark.parametrize("action", ["mask", "refuse", "flag"])
def test_p40_a_cut_text_gives_what_the_whole_one_gives(action: Action) -> None:
    text = "Write to bob.a@mail.example.com. or a@b.co, not @ or x@y"
    expected = check([rule(action)], "answer", text, Masks())
    for pieces in cuts(text):
        assert streamed([rule(action)], pieces) == expected, pieces


def test_only_what_could_begin_a_match_waits() -> None:
    held = Held(Looking([rule()], "answer"), Masks())
    assert held.feed("Hello wor").text == "Hello "
    assert held.feed("ld, write to b").text == "world, write to "
    assert held.feed("ob@x.com ").text == "<EMAIL_1> "


def test_masks_come_back_from_a_cut_answer() -> None:
    masks = Masks()
    check([rule()], "request", "bob@x.com", masks)
    answer = "<b>Hello</b> <EMAIL_1> and <EMAIL_2> <EMAIL_1"
    for pieces in cuts(answer):
        back = Restored(masks)
        out = "".join(back.feed(piece) for piece in pieces) + back.end()
        assert out == "<b>Hello</b> bob@x.com and <EMAIL_2> <EMAIL_1"


def test_a_mask_of_the_answer_is_not_put_back() -> None:
    masks = Masks()
    check([rule()], "request", "bob@x.com", masks)
    answer = check([rule()], "answer", "eve@x.com <EMAIL_1>", masks.of_answer())
    assert answer.text == "<EMAIL_2> <EMAIL_1>"
    assert restore(masks, answer.text) == "<EMAIL_2> bob@x.com"


def test_a_caller_s_own_placeholder_stands_for_itself() -> None:
    masks = Masks()
    out = check([rule()], "request", "<EMAIL_1> is bob@x.com", masks)
    assert out.text == "<EMAIL_1> is <EMAIL_2>"
    assert restore(masks, out.text) == "<EMAIL_1> is bob@x.com"


def test_callers_own_placeholder_stands_for_nothing_in_the_answer() -> None:
    masks = Masks()
    masks.reserve("what is <EMAIL_1>?")
    assert masks.of_answer().placeholder("EMAIL", "bob@x.com", rule()) == "<EMAIL_2>"


def test_each_answer_of_a_request_has_placeholders_of_its_own() -> None:
    """Also several answers beside each other: what one masks is not what another one does."""
    masks = Masks()
    masks.placeholder("EMAIL", "bob@x.com", rule())
    first, second = masks.of_answer(), masks.of_answer()
    assert first.placeholder("EMAIL", "ann@x.com", rule()) == "<EMAIL_2>"
    assert second.placeholder("EMAIL", "eve@x.com", rule()) == "<EMAIL_3>"
    assert second.placeholder("EMAIL", "bob@x.com", rule()) == "<EMAIL_1>"


def test_match_that_cuts_a_placeholder_masks_all_of_it() -> None:
    """On either side, so that nothing is left that no longer comes back."""
    masks = Masks()
    known = masks.placeholder("EMAIL", "bob@x.com", rule())
    for text, span in (
        (f"x {known}45 y", (5, len(known) + 4)), (f"x 45{known} y", (2, len(known))),
    ):  # fmt: skip
        masked = masks.masked(text, [(*span, "NUMBER")], rule())
        assert known not in masked
        assert masked.count("<") == 1
        assert restore(masks, masked) == text.replace(known, "bob@x.com")
