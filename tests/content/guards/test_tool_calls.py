"""The firewall of tools: which rule decides about which call."""

from typing import Any

import pytest

from content.guards.guard import Held, Looking
from content.guards.masks import Masks
from content.guards.rules import Action, GuardRule
from content.guards.tool_calls import judge_call, judge_tool
from content.policies.rules import check_rules, try_rules


def condition(pointer: str, pattern: str) -> dict[str, str]:
    return {"pointer": pointer, "pattern": pattern}


def one(name: str, decision: str, *arguments: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "decision": decision, "arguments": list(arguments)}


def firewall(*rules: dict[str, Any], action: Action = "refuse") -> GuardRule:
    places: list[Any] = ["request", "answer", "tool_call", "tool_result"]
    return GuardRule("tool", {"rules": list(rules)}, places, action, "no_tool")


RULES = firewall(
    one("shell", "refuse", condition("/command", r"\brm\b"), condition("/cwd", "^/")),
    one("shell", "ask", condition("/command", "sudo")),
    one("read_*", "allow", condition("/path", "^/tmp/")),
    one("read_*", "refuse"),
    one("mail*send", "ask"),
    one("ls", "allow"),
    one("*_admin", "refuse"),
)
CALLS = [
    ("shell", '{"command": "rm x", "cwd": "/"}', "refuse"),
    ("shell", '{"command": "\\u0072m x", "cwd": "/"}', "refuse"),
    ("shell", '{"command": "rm x", "cwd": "home"}', "allow"),
    ("shell", '{"command": "rm x"}', "allow"),
    ("shell", '{"command": ["sudo", "ls"]}', "ask"),
    ("shell", '{"command": "ls', "refuse"),  # cannot be read
    ("shell", '{"command": "ls", "command": "rm", "cwd": "/"}', "refuse"),
    ("shell", "", "allow"),
    ("read_file", '{"path": "/tmp/x"}', "allow"),
    ("read_file", '{"path": "/etc/x"}', "refuse"),
    ("read_file", '{"path": "/tmp/x"', "refuse"),
    ("read_file", "{}", "refuse"),
    ("mail_send", "{}", "ask"),
    ("mailsend", "{}", "ask"),
    ("mail_read", "{}", "allow"),
    ("users_admin", "{}", "refuse"),
    ("users_admin2", "{}", "allow"),
    ("SHELL", '{"command": "sudo"}', "allow"),
]


@pytest.mark.parametrize(("name", "arguments", "decision"), CALLS)
def test_the_first_rule_that_fits_decides(name: str, arguments: str, decision: str) -> None:
    judged = judge_call([RULES], "tool_call", name, arguments)
    assert judged.decision == decision
    assert judged.code == {"allow": "", "refuse": "no_tool", "ask": "approval_required"}[decision]


def test_a_pointer_leads_into_lists_and_names_with_slashes() -> None:
    rules = [firewall(one("f", "refuse", condition("/a~1b/1/c~0d", "^7$")))]
    assert judge_call(rules, "tool_call", "f", '{"a/b": [1, {"c~d": 7}]}').decision == "refuse"
    assert judge_call(rules, "tool_call", "f", '{"a/b": [1, {"c~d": 77}]}').decision == "allow"
    whole = [firewall(one("f", "refuse", condition("", "secret")))]
    assert judge_call(whole, "tool_call", "f", '{"x": {"y": "a secret"}}').decision == "refuse"


def test_a_tool_is_refused_if_all_of_its_calls_are() -> None:
    for name in ("shell", "read_x", "ls"):
        assert judge_tool([RULES], "request", name).decision == "allow"
    assert judge_tool([RULES], "request", "x_admin").decision == "refuse"
    assert judge_tool([RULES], "request", "mail_send").decision == "allow"


def test_the_strictest_policy_counts_and_one_that_flags_refuses_nothing() -> None:
    asks, refuses = firewall(one("*", "ask")), firewall(one("f", "refuse"))
    flags = firewall(one("*", "refuse"), action="flag")
    assert judge_call([asks, refuses], "tool_call", "f", "{}").by == refuses
    assert judge_call([refuses, asks], "tool_call", "g", "{}").by == asks
    judged = judge_call([flags], "tool_call", "f", "{}")
    assert (judged.by, judged.flags) == (None, ("no_tool",))
    elsewhere = GuardRule("tool", refuses.settings, ["request"], "refuse", "x")
    assert judge_call([elsewhere], "tool_call", "f", "{}").by is None


def test_texts_pass_the_firewall() -> None:
    held = Held(Looking([firewall(one("*", "refuse"))], "answer"), Masks())
    assert held.feed("shell").text == "shell"


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [one("", "refuse")],
        [one("f", "deny")],
        [one("f", "refuse", condition("command", "x"))],
        [one("f", "refuse", condition("/command", "("))],
        [one("f", "refuse", condition("/command", ""))],
        [one("f", "refuse")] * 101,
    ],
)
def test_rules_that_do_not_fit_raise(rules: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_rules([firewall(*rules)])


def test_calls_are_not_masked() -> None:
    with pytest.raises(ValueError, match="not masked"):
        check_rules([firewall(one("f", "refuse"), action="mask")])


def test_try_it_judges_a_call() -> None:
    def tried(text: str) -> dict[str, str]:
        return {each.place: each.refused_by for each in try_rules([RULES], text)}

    assert tried('read_file {"path": "/etc/x"}')["tool_call"] == "no_tool"
    assert tried('shell({"command": "sudo ls"})')["tool_call"] == "approval_required"
    assert set(tried('ls {"path": "x"}').values()) == {""}
    assert set(tried("read_file is a tool").values()) == {""}


def test_try_it_tells_what_each_rule_flags_and_shows_nothing_of_a_refusal() -> None:
    places: list[Any] = ["request", "tool_call"]
    email = GuardRule("email", {}, places, "flag", "has_email")
    words = GuardRule("words", {"words": ["secret"]}, places, "refuse", "no_secret")
    flagging = firewall(one("mail", "refuse"), action="flag")
    tried = {
        each.place: each
        for each in try_rules([email, words, flagging], 'mail {"to": "ana@example.com"}')
    }
    assert tried["tool_call"].flags == ("has_email", "no_tool")
    assert (tried["request"].flags, tried["request"].refused_by) == (("has_email",), "")
    assert "ana@example.com" in tried["request"].text
    refused = {each.place: each for each in try_rules([words], "a secret")}
    assert (refused["request"].text, refused["request"].refused_by) == ("", "no_secret")
    assert "no_secret" in refused["request"].message
    assert (refused["answer"].text, refused["answer"].message) == ("a secret", "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('read_file {"path": "/etc/x"}', "no_tool"),
        # The text is looked at before the call.
        ('read_file {"path": "/etc/secret"}', "no_secret"),
        ('shell({"command": "sudo ls"})', "approval_required"),
        ('shell({"command": "sudo secret"})', "no_secret"),
        ('ls {"path": "secret"}', "no_secret"),
        ('ls {"path": "x"}', ""),
    ],
)
def test_try_it_names_the_first_rule_that_refuses(text: str, code: str) -> None:
    words = GuardRule("words", {"words": ["secret"]}, ["tool_call"], "refuse", "no_secret")
    for rules in ([words, RULES], [RULES, words]):
        (tried,) = [each for each in try_rules(rules, text) if each.place == "tool_call"]
        assert (tried.refused_by, bool(tried.message)) == (code, bool(code))
        assert tried.text == ("" if code else text)
        assert not code or code in tried.message
