import pytest

from gateway.routing.model_rule_bounds import CAUSES, NO_RULE, Cause, ModelRule, rule_of
from relay.attempts.rules import may_fall_back


def test_exact_name_rule_wins_over_the_longest_pattern() -> None:
    rules = [ModelRule("*"), ModelRule("gpt-*"), ModelRule("gpt-4*o"), ModelRule("gpt-5")]
    named = {name: rule_of(name, rules).model for name in ("gpt-5", "gpt-4-o", "gpt-4", "claude")}
    assert named == {"gpt-5": "gpt-5", "gpt-4-o": "gpt-4*o", "gpt-4": "gpt-*", "claude": "*"}
    assert rule_of("claude", rules[1:]) is NO_RULE


@pytest.mark.parametrize(
    ("fault", "kind", "cause"),
    [
        ("F10", "upstream_error", "error"),
        ("F8", "upstream_rate_limited", "error"),
        ("F6", "context_length_exceeded", "context_length"),
        ("F6", "content_filtered", "content_policy"),
        ("F23", "content_filtered", "content_policy"),
    ],
)
def test_each_failure_is_one_cause(fault: str, kind: str, cause: Cause) -> None:
    assert may_fall_back(fault, kind, {cause})  # type: ignore[arg-type]
    assert not may_fall_back(fault, kind, CAUSES - {cause})  # type: ignore[arg-type]


def test_invalid_request_is_no_cause() -> None:
    assert not may_fall_back("F6", "provider_rejected")
