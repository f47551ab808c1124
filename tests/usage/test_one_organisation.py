"""Which statements on the tables that grow with requests name an organisation, and which go over
all of them (ADR 21: docs/adr/0021-distributed-by-organisation.md)."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLES = (
    "usage_attempt", "usage_usagerecord", "usage_rollup", "usage_hourrollup", "usage_dayrollup",
    "usage_minuterollup", "usage_clientaddress", "usage_latetruth", "usage_review",
    "billing_hold", "billing_posting", "billing_account",
)  # fmt: skip
MODELS = (
    "Attempt", "UsageRecord", "Rollup", "HourRollup", "DayRollup", "MinuteRollup", "ClientAddress",
    "LateTruth", "Review", "Hold", "Posting", "Account",
)  # fmt: skip
NAMED = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE|USING)\s+({'|'.join(TABLES)})\b")
MENTIONED = re.compile("|".join([*TABLES, *(rf"{model}\.objects" for model in MODELS)]))
OF_MODEL = re.compile(rf"\b({'|'.join(MODELS)})\.objects\b")


# Conditions that are made by usage/filters/visibility.py, where the organisation's is the first.
CONDITION = re.compile(r"{(self\._)?where(\.text)?}|{' AND '\.join\(texts\)}")

BY_ID = {
    # Of ids that one admission or settlement has, whose statements before named the organisation.
    "billing/limits/budget_windows.py:_CORRECT_WINDOWS",
    "billing/limits/budget_windows.py:_STAND_IN_WINDOW",
    "billing/ledger/sql.py:MOVE_BALANCES",
    "billing/holds/resolve_holds.py:_READ_MOVEMENTS",
    "billing/holds/resolve_holds.py:_REOPEN_HOLD",
    "billing/limits/budgets.py:_fill",
    "usage/late_usage/late_usage.py:_NOTE",
    "usage/late_usage/late_usage.py:can_be_posted",
    "usage/late_usage/late_usage.py:mark_posted",
    # Of an id that the guard compares with the organisation of who asks.
    "billing/access.py:access_posting",
    "usage/reviews/reviews.py:review_of",
    "usage/filters/visibility.py:_BY_STATUS",
    # Of the idempotency id that a processor's object has.
    "billing/topups/topups.py:_dispute",
    "billing/topups/topups.py:_is_posted",
    "billing/topups/topups.py:_return_unmatched",
}
"""Statements on the rows of one organisation that find them by an id alone: distributed, they would
have to name it too."""

EVERYWHERE = {
    "usage/rollups/rollups.py": "a job: rollups of all, by what is new",
    "extensions/clickhouse/sending.py": "a job: days of all",
    "usage/sinks/rounds.py": "a job: the records of all, by what is new",
    "usage/books/invariants.py": "a job: the books of all",
    "usage/late_usage/late_usage.py:list_unposted": "a job: what waits of all",
    "usage/management/demo_data.py": "a command, into an empty installation",
    "billing/seals/rewrites.py": "a job: the texts of an erased person, wherever they are",
    "billing/seals/seals.py": "a job: one chain over the postings of all",
    "billing/seals/spans.py": "a job: how far the books of all go",
    "billing/holds/sweep_holds.py": "a job: holds of processes that are dead",
    "billing/ledger/statement.py:_NEXT": "a job: the next day of all with usage",
    "billing/ledger/statement.py:_wallet_rows_sql": (
        "a job: days of all; a page adds its organisation"
    ),
    "usage/months/detaching.py": "a command: a month of the books of all",
    "usage/margin/provider_bills.py": "operators: a provider's bill is of all",
    "usage/margin/margin.py": "operators: the margin over all",
    "usage/reviews/reviews.py": "operators: what is under review of all",
}
"""Those over all organisations, by file or by name."""


def texts(tree: ast.Module, values: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Every text of a file, and every statement on a model, with the name of what it belongs to.
    `values` are those of the module's names: a constant may be made of a struct's fields."""
    constants: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            name = ast.unparse(target)
            value = values.get(name)
            read = " ".join(_texts_in(statement.value, constants))
            constants[name] = value if isinstance(value, str) else read
            yield name, constants[name]
        else:
            yield from _texts_of(statement, "", constants)


def _texts_of(node: ast.AST, within: str, constants: dict[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        within = node.name
    if isinstance(node, ast.stmt) and not hasattr(node, "body"):
        yield within, ast.unparse(node)
        for text in _texts_in(node, constants):
            yield within, text
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts_of(child, within, constants)


def _texts_in(node: ast.AST, constants: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield "".join(_part(value, constants) for value in node.values)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts_in(child, constants)


def _part(value: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    assert isinstance(value, ast.FormattedValue)
    name = ast.unparse(value.value)
    return constants.get(name) or f"{{{name}}}"


def across(source: str, module: str = "") -> set[str]:
    """The names of what is on these tables in a file and names no organisation."""
    if not MENTIONED.search(source):
        return set()
    values = vars(import_module(module)) if module else {}
    return {
        name
        for name, text in texts(ast.parse(source), values)
        if (NAMED.search(text) or OF_MODEL.search(text))
        and "organisation" not in text
        and not CONDITION.search(text)
    }


def test_every_statement_names_its_organisation_or_says_why_not() -> None:
    results = {
        f"{path.relative_to(ROOT)}:{name}"
        for room in ("usage", "billing", "relay", "extensions/clickhouse")
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts
        for name in across(path.read_text(), ".".join(path.relative_to(ROOT).with_suffix("").parts))
    }
    listed = {place for place in results if place in BY_ID}
    everywhere = {
        place for place in results - listed if {place, place.split(":")[0]} & EVERYWHERE.keys()
    }
    assert results - listed - everywhere == set()
    # Whoever puts one right takes it off.
    assert listed == BY_ID
    reasons = {place for place in EVERYWHERE if any(one.startswith(place) for one in everywhere)}
    assert reasons == EVERYWHERE.keys()


def test_unscoped_statement_is_found() -> None:
    """In texts, with conditions of other texts, and in statements of the ORM."""
    source = """
_BAD = "SELECT 1 FROM usage_usagerecord r WHERE r.id = %(id)s"
_GOOD = f"SELECT 1 FROM usage_rollup r WHERE {_OF} AND r.organisation_id = %(o)s"
_OURS = "organisation_id = %(o)s"
_ALSO_GOOD = f"DELETE FROM billing_hold WHERE {_OURS}"
_ALSO_BAD = f"DELETE FROM billing_hold WHERE {_THEIRS}"
def read(where):
    run(f"SELECT 1 FROM usage_usagerecord r WHERE {where.text}")
def page(id):
    with one() as found:
        return UsageRecord.objects.get(id=id)
def own(id, organisation):
    return UsageRecord.objects.get(id=id, organisation=organisation)
"""
    assert across(source) == {"_BAD", "_ALSO_BAD", "page"}
