"""Rules about calls of tools: which one fits a name and its arguments."""

from typing import Any

import pytest

from content.detectors.tools import (
    CONDITIONS_MAX,
    RULES_MAX,
    TEXT_MAX,
    UNREADABLE,
    ToolCondition,
    ToolRule,
    ToolRules,
    check_tool_rules,
    read_arguments,
)
from content.policies.tool_lines import read_tool_line, write_tool_line


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("shell", "shell", True),
        ("shell", "shell_run", False),
        ("shell", "Shell", False),
        ("send_*", "send_mail", True),
        ("send_*", "send_", True),
        ("send_*", "resend_mail", False),
        ("*_file", "read_file", True),
        ("*", "line\nbreak", True),
        ("a.c", "abc", False),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abcd", False),
    ],
)
def test_star_of_a_name_stands_for_any_characters(pattern: str, name: str, fits: bool) -> None:
    assert ToolRule(pattern, "refuse").fits_name(name) is fits


@pytest.mark.parametrize(
    ("pointer", "pattern", "fits"),
    [
        ("/command", "sudo", True),
        ("/command", "^sudo$", False),
        ("/paths/1", "^/etc", True),
        ("/paths/2", ".", False),
        ("/paths/-1", ".", False),
        ("/a~1b", "slash", True),
        ("/c~0d", "tilde", True),
        ("/deep/n", "^7$", True),
        ("/deep", '"n": ?7', True),
        ("/none", ".", False),
        ("", "sudo", True),
        ("/text", "a.b", True),
    ],
)
def test_condition_reads_the_argument_of_its_pointer(
    pointer: str, pattern: str, fits: bool
) -> None:
    arguments = {
        "command": "run sudo now", "paths": ["/tmp", "/etc/passwd"], "a/b": "slash",
        "c~d": "tilde", "deep": {"n": 7}, "text": "a\nb",
    }  # fmt: skip
    assert ToolCondition(pointer, pattern).fits(arguments) is fits


def test_all_conditions_of_a_rule_must_fit() -> None:
    rule = ToolRule("*", "refuse", [ToolCondition("/a", "x"), ToolCondition("/b", "y")])
    assert rule.fits_arguments({"a": "x", "b": "y"})
    assert not rule.fits_arguments({"a": "x", "b": "n"})


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{", "[" * 100_000])
def test_unreadable_arguments_are_allowed_by_no_rule(text: str) -> None:
    """P40: others may read them in another way."""
    read = read_arguments(text)
    assert read is UNREADABLE
    conditions = [ToolCondition("/a", "2")]
    assert not ToolRule("*", "allow", conditions).fits_arguments(read)
    assert ToolRule("*", "refuse", conditions).fits_arguments(read)
    assert ToolRule("*", "ask", conditions).fits_arguments(read)
    assert ToolRule("*", "allow").fits_arguments(read)
    assert read_arguments("") == {}


def rules(**over: Any) -> ToolRules:
    values: dict[str, Any] = {"name": "shell", "decision": "refuse", "arguments": []}
    return ToolRules([ToolRule(**values | over)])


def condition(pointer: str = "/a", pattern: str = "x") -> dict[str, Any]:
    return {"arguments": [ToolCondition(pointer, pattern)]}


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        (rules(name="n" * TEXT_MAX), rules(name="n" * (TEXT_MAX + 1))),
        (rules(), rules(name="")),
        (
            rules(arguments=[ToolCondition("/a", "x")] * CONDITIONS_MAX),
            rules(arguments=[ToolCondition("/a", "x")] * (CONDITIONS_MAX + 1)),
        ),
        (rules(**condition(pointer="")), rules(**condition(pointer="a"))),
        (
            rules(**condition(pointer="/" + "p" * (TEXT_MAX - 1))),
            rules(**condition(pointer="/" + "p" * TEXT_MAX)),
        ),
        (rules(**condition()), rules(**condition(pattern=""))),
        (
            rules(**condition(pattern="p" * TEXT_MAX)),
            rules(**condition(pattern="p" * (TEXT_MAX + 1))),
        ),
        (rules(**condition()), rules(**condition(pattern="("))),
        (ToolRules(rules().rules * RULES_MAX), ToolRules(rules().rules * (RULES_MAX + 1))),
        (rules(), ToolRules([])),
    ],
)
def test_rules_for_tools_have_bounds(valid: ToolRules, invalid: ToolRules) -> None:
    check_tool_rules(valid)
    with pytest.raises(ValueError):  # noqa: PT011 - the bound, not its words
        check_tool_rules(invalid)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("refuse *", {"name": "*", "decision": "refuse"}),
        ("ask   send_*", {"name": "send_*", "decision": "ask"}),
        (
            r"refuse shell /command \brm\b && /cwd ^/etc",
            {
                "name": "shell",
                "decision": "refuse",
                "arguments": [
                    {"pointer": "/command", "pattern": r"\brm\b"},
                    {"pointer": "/cwd", "pattern": "^/etc"},
                ],
            },
        ),
        (
            "allow shell /command git push",
            {
                "name": "shell",
                "decision": "allow",
                "arguments": [{"pointer": "/command", "pattern": "git push"}],
            },
        ),
    ],
)
def test_rule_of_a_tool_is_a_line(line: str, rule: dict[str, Any]) -> None:
    assert read_tool_line(line) == rule
    assert read_tool_line(write_tool_line(rule)) == rule
