"""What takes a channel out of use by its rule."""

import pytest

from gateway.channels.channel_tests.rules import (
    CheckRule,
    TakenOut,
    is_status_list,
    removal_by_test,
    removal_by_traffic,
)


@pytest.mark.parametrize(
    ("rule", "fault", "status", "text", "cause"),
    [
        (CheckRule(), "key", 401, "invalid", None),
        (CheckRule(on_key=True), "key", 401, "", TakenOut("key", "401")),
        (CheckRule(on_key=True), "limited", 429, "", None),
        (CheckRule(statuses="403, 5xx"), "unavailable", 503, "", TakenOut("status", "503")),
        (CheckRule(statuses="403, 5xx"), "key", 403, "", TakenOut("status", "403")),
        (CheckRule(statuses="403"), "key", 401, "", None),
        (CheckRule(statuses="5xx"), "timeout", None, "", None),
        (CheckRule(words="quota, Suspended"), "rejected", 400, "account SUSPENDED",
         TakenOut("words", "Suspended")),
        (CheckRule(words=" , "), "rejected", 400, "anything", None),
        (CheckRule(words="额度"), "rejected", 400, "额度不足", TakenOut("words", "额度")),
    ],
)  # fmt: skip
def test_failed_test_disables_as_its_rule_says(
    rule: CheckRule, fault: str, status: int | None, text: str, cause: TakenOut | None
) -> None:
    assert removal_by_test(rule, fault, status, text) == cause


@pytest.mark.parametrize(
    ("percent", "attempts", "failed", "out"),
    [
        (None, 100, 100, False),
        (90, 19, 19, False),
        (90, 20, 2, False),
        (90, 20, 3, True),
        (100, 1000, 1, True),
        (1, 20, 20, True),
    ],
)
def test_share_needs_enough_attempts(
    percent: int | None, attempts: int, failed: int, out: bool
) -> None:
    rule = CheckRule(success_percent=percent)
    assert (removal_by_traffic(rule, attempts, failed) is not None) is out


@pytest.mark.parametrize("text", ["", "403", "403,5xx", "403, 5xx, 429"])
def test_a_list_of_statuses(text: str) -> None:
    assert is_status_list(text)


@pytest.mark.parametrize("text", ["x", "600", "40", "403 429", "4x3", "403,", "٤٠٣", "403\n"])
def test_invalid_lists_of_statuses(text: str) -> None:
    assert not is_status_list(text)
