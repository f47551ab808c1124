"""The report of an import, as text and as JSON: each count in its own column, each sum in USD."""

import re
from typing import Any

from extensions.import_hubs.columns import TableColumns
from extensions.import_hubs.report import Money, Report, Row, report_text, serialize_report

USD = 10**9


def whole() -> Report:
    report = Report()
    table = report.table("tokens")
    table.read, table.imported, table.present = 70, 3, 5
    table.skipped = {
        "the key was deleted": [Row(str(n), "") for n in range(22)],
        "it has no secret": [Row("99", "bad\x1b[0m")],
    }
    report.close("tokens", "7", "ci", ("tokens.allow_ips", "tokens.group"), "weir keys enable 7")
    report.note("tokens", "8", "cd", "renamed")
    table.columns_left = {"remark": 4}
    report.tables_left = {"logs": 900, "abilities": 2, "odd": 1}
    report.explain_tables({"history": ["log*"], "made from channels": ["abilities"]})
    report.accepted = ["tokens.unlimited_quota"]
    report.money = Money("600 quota", 100 * USD, 30 * USD, 2 * USD, 61 * USD)
    return report


def test_each_count_is_under_its_heading() -> None:
    head, row = report_text(whole()).splitlines()[:2]
    titles = re.split(r"\s{2,}", head.replace("here before", "here-before").strip())
    words = " ".join(titles).split()
    assert dict(zip(words, row.split(), strict=True)) == {
        "table": "tokens", "read": "70", "imported": "3", "closed": "1", "here-before": "5",
        "skipped": "23",
    }  # fmt: skip


def test_text_names_twenty_rows_of_a_reason_and_json_all() -> None:
    text = report_text(whole())
    assert "19, and 2 more (--json names them)" in text
    told: Any = serialize_report(whole())
    deleted, other = told["tables"]["tokens"]["skipped"]
    assert (deleted["reason"], len(deleted["rows"])) == ("the key was deleted", 22)
    assert other["rows"] == [{"id": "99", "name": "bad\x1b[0m"}]
    # A foreign name moves no cursor.
    assert "\x1b" not in text
    assert str(Row("1", "a\u202eb")) == "1 (a\\u202eb)"


def test_difference_is_what_nothing_explains() -> None:
    """100 there, of which 30 are left behind, 2 rounded and 61 here: 7 are missing."""
    told: Any = serialize_report(whole())
    assert told["balances"] == {
        "peer_total": "600 quota", "peer": "100.00", "left_behind": "30.00", "rounded": "2.00",
        "here": "61.00", "difference": "7.00",
    }  # fmt: skip
    lines = report_text(whole()).splitlines()
    amounts = {line.split()[0]: line for line in lines if "USD" in line}
    assert "7.00" in amounts["difference"]
    assert "61.00" in amounts["here"]


def test_report_says_how_to_open_what_is_closed_and_why_tables_are_left() -> None:
    text, told = report_text(whole()), serialize_report(whole())
    assert "tokens: tokens.allow_ips, tokens.group: 7 (ci)" in text
    assert "to open: weir keys enable 7" in text
    assert "logs: 900 rows (history)" in text
    assert told["tables_left"] == {
        "logs": {"rows": 900, "reason": "history"},
        "abilities": {"rows": 2, "reason": "made from channels"},
        "odd": {"rows": 1, "reason": "unknown"},
    }
    assert "tokens.remark: in 4 rows" in text
    assert told["accepted"] == ["tokens.unlimited_quota"]


def test_value_of_a_restricting_column_closes_and_its_default_does_not() -> None:
    columns = TableColumns(
        imported={"": ("id", "name")}, closes={"": ("allow_ips",)}, unused={"": ("remark",)},
        documents=frozenset({"settings", "note"}), remarks=frozenset({"note"}),
    )  # fmt: skip
    row = {
        "id": 1, "name": "x", "allow_ips": "10.0.0.1", "remark": "hi", "surprise": 1, "off": 0,
        "settings": '{"colour": "red"}', "note": '{"colour": "red", "max_models": 2}',
    }  # fmt: skip
    found = columns.find(row, {})
    assert set(found.closing) == {"allow_ips", "surprise", "settings.colour", "note.max_models"}
    assert set(found.left) == {"remark", "note.colour"}
    again = columns.find(row, {"surprise": "true", "allow_ips": " 10.0.0.1"})
    assert "surprise" not in again.closing
    assert "allow_ips" not in again.closing
    unreadable = columns.find({"settings": "{"}, {})
    assert unreadable.closing == ("settings (unreadable)",)
