"""Changes to some requests only: which they are for, in which order they apply, and how they are
written."""

import json
from typing import Any

import msgspec
import pytest

from gateway.channels.overrides.overrides import (
    check_overrides,
    check_rule_teams,
    read_rules,
    rules_text,
)
from gateway.channels.overrides.rules import (
    OverriddenRequest,
    OverrideRule,
    RequestOverrides,
    read_overrides,
    stored_overrides,
)
from gateway.channels.refusals import ChannelRefused
from gateway.providers import PROVIDERS

OPENAI = PROVIDERS["openai"]
ASKED = OverriddenRequest("gpt-5-mini", "responses", ("acme", "acme/core"))


def rule(**parts: Any) -> dict[str, Any]:
    return {"headers": {"x-a": "1"}} | parts


FITS: list[tuple[dict[str, Any], bool]] = [
    ({"models": ["gpt-5-mini"]}, True),
    ({"models": ["o3", "gpt-5*"]}, True),
    ({"models": ["gpt-5"]}, False),
    ({"models": ["*"]}, True),
    ({"endpoints": ["chat_completions", "responses"]}, True),
    ({"endpoints": ["messages"]}, False),
    ({"teams": ["acme"]}, True),
    ({"teams": ["beta", "acme/core"]}, True),
    ({"teams": ["acme/other", "beta"]}, False),
    ({"models": ["gpt-5*"], "endpoints": ["responses"], "teams": ["acme"]}, True),
    ({"models": ["gpt-5*"], "endpoints": ["responses"], "teams": ["beta"]}, False),
    ({"models": ["gpt-5*"], "endpoints": ["messages"], "teams": ["acme"]}, False),
    ({"models": ["o3"], "endpoints": ["responses"], "teams": ["acme"]}, False),
]


@pytest.mark.parametrize(("conditions", "fits"), FITS)
def test_all_stated_conditions_must_be_met(conditions: dict[str, Any], fits: bool) -> None:
    overrides = msgspec.convert({"when": [rule(**conditions)]}, RequestOverrides)
    assert len(overrides.fitting(ASKED).when) == fits


def test_request_without_a_team_meets_no_team_condition() -> None:
    overrides = msgspec.convert(
        {"when": [rule(teams=["acme"]), rule(endpoints=["responses"]), rule(models=["m"])]},
        RequestOverrides,
    )
    assert [one.models for one in overrides.fitting(OverriddenRequest("m", "", ())).when] == [
        ("m",)
    ]


def test_rules_apply_after_the_rest_and_in_their_order() -> None:
    stated = {"models": ["*"]}
    overrides = msgspec.convert(
        {
            "parameters": {"openai": {"set": {"seed": 1, "top_p": 0.5}}},
            "headers": {"x-a": "base", "x-b": "base"},
            "when": [
                rule(**stated, parameters={"openai": {"set": {"seed": 2}, "remove": ["top_p"]}}),
                rule(**stated, parameters={"openai": {"set": {"seed": 3}, "default": {"k": 1}}},
                     headers={"x-a": "{model}"}),
                rule(models=["other"], parameters={"openai": {"set": {"seed": 4}}}),
            ],
        },
        RequestOverrides,
    ).fitting(ASKED)  # fmt: skip
    assert json.loads(overrides.chat_body(b'{"m":1}', "openai")) == {"m": 1, "seed": 3, "k": 1}
    assert overrides.chat_body(b'{"m":1}', "gemini") == b'{"m":1}'
    values: Any = dict.fromkeys(("request_id", "organisation", "key", "user"), "") | {"model": "m"}
    assert overrides.written_headers(values) == {"x-a": "m", "x-b": "base"}


def test_hold_covers_the_matching_rules() -> None:
    """P2: of a rule that is not for a request nothing is held."""
    value = "x" * 1000
    rules = [rule(models=[name], parameters={"openai": {"set": {"k": value}}}) for name in "ab"]
    overrides = msgspec.convert({"when": rules}, RequestOverrides)
    for name, count in (("a", 1), ("c", 0)):
        fitting = overrides.fitting(OverriddenRequest(name, "", ()))
        added = len(fitting.chat_body(b"{}", "openai")) - 2
        assert count * 1000 <= added <= fitting.added_bytes < (count + 1) * 1000
    assert overrides.added_bytes >= 2000


REFUSED: list[tuple[Any, str]] = [
    ([{"headers": {"x-a": "1"}}], "Name a model"),
    ([{"models": ["m"]}], "sets no parameter"),
    ([{"models": ["m"], "parameters": {"openai": {"set": {"model": "x"}}}}], "cannot be changed"),
    ([{"models": ["m"], "parameters": {"openai": {"set": {"n": 2}}}}], "cannot be changed"),
    ([rule(models=["m"], headers={"authorization": "x"})], "cannot be set"),
    ([rule(models=["m"], headers={"x-a": "{secret}"})], "no variable"),
    ([rule(models=["m"], headers={"x-a": "a\r\nb: c"})], "visible ASCII"),
    ([rule(endpoints=["/v1/responses"])], "no endpoint"),
    ([rule(models=["a b"])], "not the name of a model"),
    ([rule(models=["m"])] * 21, "At most 20"),
    ([rule(models=[f"m{n}" for n in range(101)])], "at most 100"),
    ([rule(models=["m"], paths=["/v1"])], "paths"),
    ([rule(models=["m"], holders=["x"])], "holders"),
]


@pytest.mark.parametrize(("when", "words"), REFUSED)
def test_inapplicable_rule_is_rejected(when: Any, words: str) -> None:
    with pytest.raises(ChannelRefused) as refused:
        check_overrides(OPENAI, {"when": when})
    assert refused.value.field.startswith("overrides")
    assert words in refused.value.message


@pytest.mark.django_db
def test_rule_may_only_name_existing_teams() -> None:
    with pytest.raises(ChannelRefused, match="no team nobody"):
        check_rule_teams({"when": [rule(teams=["nobody"])]})


WRITTEN = """when model gpt-5*,o3 endpoint responses team acme,beta/core
responses set reasoning.effort "low"
responses remove user
openai default top_p 0.5
header x-tier: gold {model}

when team acme
header x-b: 2"""


def test_the_text_of_rules_is_read_as_it_is_written() -> None:
    read = read_rules(WRITTEN)
    assert read[0] == {
        "models": ["gpt-5*", "o3"], "endpoints": ["responses"], "teams": ["acme", "beta/core"],
        "parameters": {
            "responses": {"set": {"reasoning.effort": "low"}, "default": {}, "remove": ["user"]},
            "openai": {"set": {}, "default": {"top_p": 0.5}, "remove": []},
        },
        "headers": {"x-tier": "gold {model}"},
    }  # fmt: skip
    stored = check_overrides(OPENAI, {"when": read})
    known = read_overrides(stored)
    assert known is not None
    assert rules_text(known.when) == WRITTEN
    assert stored_overrides(known) == stored
    assert stored["when"][1] == {"teams": ["acme"], "headers": {"x-b": "2"}}


@pytest.mark.parametrize(
    "text",
    [
        "header x-a: 1", "when model", "when model a model b", "when color red\nheader x-a: 1",
        "when model m\nset seed 1", "when model m\nopenai put seed 1", "when model m\nheader x-a",
        "when model m\nopenai set seed low",
    ],
)  # fmt: skip
def test_invalid_rule_line_is_named(text: str) -> None:
    with pytest.raises(ChannelRefused):
        read_rules(text)


def test_header_names_of_rules_are_kept_in_lower_case() -> None:
    stored = check_overrides(OPENAI, {"when": [rule(models=["m"], headers={"X-Tier": "1"})]})
    assert stored == {"when": [{"models": ["m"], "headers": {"x-tier": "1"}}]}
    assert OverrideRule(models=("m",)).fits(OverriddenRequest("m", "", ()))
