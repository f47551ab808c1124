"""The style of the house, where it protects users: pure money code, safe templates, known words."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.parsed import nodes_of

ROOT = Path(__file__).parents[2]
ROOMS = (
    "extensions",
    "config",
    "playground",
    "reference",
    "relay",
    "gateway",
    "usage",
    "billing",
    "content",
    "notify",
    "accounts",
    "outbox",
    "dialects",
    "lib",
)
PURE = ("accounts/audit/masking.py",
    "accounts/secrets/key_format.py",
    "accounts/keys/reach.py",
    "accounts/limits/rules.py",
    "accounts/roles/authority.py",
    "accounts/members/pseudonym.py",
    "accounts/limits/data_policy.py",
    "accounts/names/labels.py",
    "accounts/roles/rules.py",
    "accounts/sessions/devices.py",
    "accounts/sessions/rules.py",
    "accounts/sign_in/rules.py",
    "accounts/throttle/throttle.py",
    "accounts/names/email_domains.py",
    "accounts/single_sign_on/rules.py", "notify/deliveries/retries.py",
    "notify/endpoints/chat_services.py",
    "notify/endpoints/signing.py", "billing/credits/code_format.py",
    "billing/credits/promo_rules.py",
    "billing/currency/conversion.py",
    "billing/currency/money.py",
    "billing/ledger/hold_rules.py",
    "billing/invoices/rules.py",
    "billing/ledger/funding.py",
    "billing/ledger/posting.py",
    "billing/limits/budget_rules.py",
    "billing/limits/channel_limits.py",
    "billing/limits/charge_rule.py",
    "billing/periods/months.py",
    "billing/periods/period_starts.py",
    "billing/prices/catalogue/catalogue.py",
    "billing/prices/catalogue/additions.py",
    "billing/prices/conditions.py",
    "billing/prices/meters.py",
    "billing/prices/multipliers.py",
    "billing/prices/name_patterns.py",
    "billing/prices/price_list.py",
    "billing/prices/pricing.py",
    "billing/prices/rate_changes.py",
    "billing/prices/second_person.py",
    "billing/prices/upstream_prices.py",
    "billing/prices/written_conditions.py",
    "billing/subscriptions/included_units.py",
    "billing/subscriptions/rules.py",
    "billing/topups/rules.py",
    "billing/wallets/pace.py", "content/prompts/label_rules.py",
    "content/prompts/settings.py",
    "content/prompts/variables.py", "relay/requests/client_apps.py",
    "usage/breakdowns/changes.py",
    "usage/filters/groupings.py",
    "usage/requests/choices.py",
    "usage/requests/log_position.py",
    "usage/records/outcomes.py",
    "usage/buckets/buckets.py",
    "usage/rollups/histograms.py",
    "usage/rollups/level_rules.py",
    "usage/rollups/sums.py",
    "usage/saved_views/report_times.py", "gateway/provider_accounts/balances/rules.py",
    "gateway/catalogue/model_change_rules.py",
    "gateway/model_entries/facts.py",
    "gateway/channels/channel_tests/rules.py",
    "gateway/channels/bounds.py",
    "gateway/channels/timeouts.py",
    "gateway/code_examples/literals.py",
    "gateway/code_examples/realtime_snippets.py",
    "gateway/code_examples/snippets.py",
    "gateway/breaker/breaker.py",
    "gateway/breaker/retry_budget.py",
    "gateway/breaker/channel_state.py",
    "gateway/breaker/faults.py",
    "gateway/health/metric_labels.py",
    "gateway/breaker/state_names.py",
    "gateway/media_tasks/content_links.py",
    "gateway/media_tasks/rules.py",
    "gateway/channels/overrides/condition_rules.py",
    "gateway/channels/overrides/rules.py",
    "gateway/prices/replay.py",
    "gateway/model_entries/rules.py",
    "gateway/aliases/rules.py",
    "gateway/channel_order/channel_order.py",
    "gateway/routing/model_rule_bounds.py",
    "gateway/routing/shadow_rules.py",
    "gateway/channel_order/tie_breaking.py",
    "gateway/status/rules.py",
    "relay/metering/output_cap.py",
    "relay/attempts/rules.py",
    "relay/counting/estimates.py",
    "relay/counting/image_tokens.py",
    "relay/counting/prompt_text.py",
    "relay/counting/vocabularies.py",
    "relay/load/load_shedding.py",
    "relay/load/turn_order.py",
    "relay/hold_sizes/rules.py",
        "dialects", "gateway/providers", "playground/attachments/rules.py",
    "playground/chats/export_format.py",
    "playground/conversations/title_rules.py",
    "playground/conversations/tree.py",
    "playground/compare/rules.py",
    "playground/embeddings/vectors.py",
    "playground/media/answer.py",
    "playground/media/realtime_rules.py",
    "playground/media/rules.py",
    "playground/models_offered/media_model.py",
    "playground/panel/bounded_validator.py",
    "playground/panel/json_schema.py",
    "playground/panel/json_text.py",
    "playground/panel/openapi_tools.py",
    "playground/panel/parameters.py",
    "playground/panel/settings.py",
    "playground/preferences/shortcuts.py",
    "playground/preferences/unwatched.py",
    "playground/rendering/block_splitter.py",
    "playground/rendering/open_block.py",
    "playground/rendering/html_changes.py",
    "playground/rendering/logprobs.py",
    "playground/rendering/markdown.py",
    "playground/rendering/render.py",
    "playground/rendering/structured.py",
    "playground/rendering/unfinished_markdown.py",
    "playground/answers/answer_parts.py",
    "playground/answers/cost.py",
    "playground/answers/progress.py",
    "playground/turns/context_window.py",
    "playground/turns/request.py",
    "playground/side_requests/side_request_rules.py",
    "playground/turns/summary_request.py")  # fmt: skip
MONEY = ("billing/credits/code_format.py",
    "billing/credits/promo_rules.py",
    "billing/currency/conversion.py",
    "billing/currency/money.py",
    "billing/ledger/hold_rules.py",
    "billing/invoices/rules.py",
    "billing/ledger/funding.py",
    "billing/ledger/posting.py",
    "billing/limits/budget_rules.py",
    "billing/limits/channel_limits.py",
    "billing/limits/charge_rule.py",
    "billing/periods/months.py",
    "billing/periods/period_starts.py",
    "billing/prices/catalogue/catalogue.py",
    "billing/prices/catalogue/additions.py",
    "billing/prices/conditions.py",
    "billing/prices/meters.py",
    "billing/prices/multipliers.py",
    "billing/prices/name_patterns.py",
    "billing/prices/price_list.py",
    "billing/prices/pricing.py",
    "billing/prices/rate_changes.py",
    "billing/prices/second_person.py",
    "billing/prices/upstream_prices.py",
    "billing/prices/written_conditions.py",
    "billing/subscriptions/included_units.py",
    "billing/subscriptions/rules.py",
    "billing/topups/rules.py",
    "billing/wallets/pace.py", "billing/holds/resolve_holds.py",
    "billing/holds/sweep_holds.py",
    "billing/ledger/accounts.py",
    "billing/ledger/spending.py",
    "billing/ledger/sql.py",
    "billing/ledger/sql_statement.py",
    "billing/limits/budget_windows.py",
    "billing/limits/enforcement.py", "usage/records/sql.py", "billing/ledger/ledger.py",
         "billing/holds/unsettled_holds.py", "billing/balances/balances.py",
         "billing/balances/credit_line.py")  # fmt: skip


def _files(suffix: str, *folders: str) -> list[Path]:
    """The files of the project: new ones too, but not what somebody tries out beside README.md."""
    listed = subprocess.run(
        ["git", "ls-files", "-t", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    rows = (line.split(" ", 1) for line in listed)
    names = [name for tag, name in rows if tag != "?" or "/" in name]
    return [ROOT / name for name in names if name.endswith(suffix) and (ROOT / name).exists()]


def _nodes(*folders: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in _files(".py", *folders):
        for node in nodes_of(path):
            yield path, node


def _at(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_no_file_has_a_meaningless_name() -> None:
    banned = {"utils", "util", "helpers", "_helpers", "misc", "common", "base", "core", "services"}
    assert [str(p) for p in _files(".py") if p.stem in banned] == []


def test_docstrings_compile_on_every_python() -> None:
    """Python 3.13 encodes them: one that has half of a surrogate pair does not compile there."""
    docstrings = [
        (_at(path, node), node.value.value)
        for path, node in _nodes(*ROOMS)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    assert [place for place, text in docstrings if re.search("[\ud800-\udfff]", text)] == []


def test_pure_code_reads_no_clock_and_opens_no_file() -> None:
    impure = {"now", "utcnow", "today", "open", "print", "input", "exec", "eval"}
    results = [
        _at(path, node)
        for path, node in _nodes(*PURE)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in impure)
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in {"now", "utcnow", "today"}
            )
        )
    ]
    assert results == []


def test_no_float_touches_money() -> None:
    """docs/promises.md, "Books": no float anywhere on the path."""
    assert [_at(path, node) for path, node in _nodes(*MONEY) if _is_of_floats(node)] == []


def test_codec_has_floats_only_in_content() -> None:
    """Amounts and counts of tokens pass through the codecs too."""
    content = {
        "dialects/json/members.py",  # a number of a request, and 1.0 where a whole one is due
        "dialects/json/raw_json.py",  # a number of an answer
        "dialects/chat/bounds.py",  # the bounds of sampling
        "dialects/chat/chat.py",  # sampling: temperature, top_p, penalties, bias
        "dialects/chat/shared_members.py",  # bias
        "dialects/responses/answer/response_object.py",  # the defaults of sampling, told back
        "dialects/responses/background.py",  # the same
        "dialects/responses/answer/wire.py",  # 1.0 where a whole number is due
        "dialects/anthropic/request/encode.py",  # the least top_p beside a temperature
        "dialects/anthropic/request/schema.py",  # constants of a JSON schema
        "dialects/chat/events.py",  # log probabilities
        "dialects/gemini/answer/events.py",  # log probabilities
        "dialects/endpoints/embeddings.py",  # vectors
        "dialects/gemini/embed.py",  # vectors
        "dialects/endpoints/vertex_embeddings.py",  # vectors, and counts that are told as 4.0
        "dialects/endpoints/rerank.py",  # scores
        "dialects/media/sound.py",  # how long a sound is
    }
    results = {
        str(path.relative_to(ROOT))
        for path, node in _nodes("dialects", "gateway/providers")
        if _is_of_floats(node)
    }
    assert results == content


def _is_of_floats(node: ast.AST) -> bool:
    return (
        (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
    )


def test_all_errors_are_caught_only_at_boundaries() -> None:
    """A broad `except` hides a bug; each place where it is right is listed here with its reason."""
    boundaries = {
        "config/home/views.py",  # a panel that fails says so in its place, and no other is lost
        # a line that cannot be written says so, and ends no request
        "config/server/log_handler.py",
        "config/jobs/runs.py",  # the class of whatever ends a job is recorded, and raised again
        # a round that fails is said, as in a worker, and the next one comes
        "config/jobs/sweeping.py",
        # a task whose poll or end fails keeps no other back, and is polled again
        "gateway/media_tasks/media_tasks.py",
        # a bug ends the preview with its name, instead of being tried again
        "gateway/prices/previews.py",
        "usage/exports/exports.py",  # as a preview: a bug ends the export with its name
        "usage/saved_views/scheduled_reports.py",  # a report that fails keeps no other back
        "relay/asgi.py",  # one request's bug answers 500 and ends no other request
        # the same of a request on a connection
        "relay/endpoints/responses_socket/connection.py",
        "relay/endpoints/background.py",  # the same of a response in the background
        # obstore's errors have no class in common that is there without obstore
        "content/log/objects.py",
        "lib/network/store_address.py",
        "content/log/final_states.py",  # a task has ended, whatever is kept of its end
        # a text whose redaction fails is left out and counted, and no other is lost
        "relay/content_log/entry_writer.py",
        # the writer is started again, and its log says why
        "relay/content_log/writer_process.py",
        "relay/tracing/content_writer.py",  # the same of a text that a span cannot have
        "relay/guarding/calls.py",  # an extension's defect is a failure, as the rule says
        "relay/ledger/writer.py",  # a failed batch is told to each of its requests
        "relay/upstream/http1.py",  # a bug in passing a piece on is its request's, not the socket's
        # a person's schema makes the library raise anything: a fault that is shown with the answer
        "playground/panel/json_schema.py",
        # an erasure that fails keeps no other back, and shows it
        "playground/erasure/erasure_steps.py",
        "playground/media/runs.py",  # the same of a media run
        "playground/runs/runs.py",  # a run's bug becomes the run's failure, seen on its page
        "stack/processes/supervisor.py",
        "stack/test_programs/browser.py",  # Playwright raises no other where it does not start
    }
    results = {
        str(path.relative_to(ROOT))
        for path, node in _nodes(*ROOMS, "stack")
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
    }
    assert results - boundaries == set()


def test_only_the_clock_reads_the_clock() -> None:
    results = [
        _at(path, node)
        for path, node in _nodes(*ROOMS)
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and isinstance(node.value, (ast.Name, ast.Attribute))
        and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr)
        in {"datetime", "date", "timezone"}
        and path != ROOT / "lib/clock.py"
    ]
    assert results == []


def test_no_view_fetches_an_object_without_access() -> None:
    """docs/promises.md, "Access": objects are had through `access_*`, from the actor on."""
    name = re.compile(r"(?!saved_views)(\w+_)?(views|api)")
    views = [path for path in _files(".py", *ROOMS) if name.fullmatch(path.stem)]
    pattern = re.compile(r"\.objects\.(?!none\(\))|get_object_or_404")
    results = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in views
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert results == []


# Rooms whose long calls are still to be written with keywords.
LONG_CALLS = ("dialects/", "gateway/channels/")
# What takes any number of the same thing.
LISTS = {"CompositePrimaryKey", "_columns", "_fields", "pack", "plain", "values_list"}


def test_a_call_has_at_most_six_positional_arguments() -> None:
    """Two of many values of one type change places without anybody noticing."""
    found = [
        _at(path, node)
        for path, node in _nodes(*ROOMS)
        if isinstance(node, ast.Call)
        and len(node.args) > 6
        and getattr(node.func, "attr", getattr(node.func, "id", "")) not in LISTS
        and not str(path.relative_to(ROOT)).startswith(LONG_CALLS)
        and path.name != "dialect.py"
        and "migrations" not in path.parts
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("an inline script", r"<script(?![^>]*\bsrc=)"),
        ("an inline style", r"<style\b|\sstyle="),
        ("an event attribute", r"\son[a-z]+="),
        ("another origin", r"(?:src|href)=[\"'](?:https?:)?//"),
        ("a marked-safe variable", r"\|\s*safe\b|{%\s*autoescape off"),
    ],
)
def test_templates_contain_nothing_the_policy_forbids(what: str, pattern: str) -> None:
    allowed = {"|safe": set[str]()}
    results = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _files(".html", "templates")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line, re.IGNORECASE)
    ]
    assert sorted(set(results) - allowed.get(what, set())) == [], what


def test_template_lines_fit_the_screen() -> None:
    """The formatter breaks where it can; where it cannot, a hand must."""
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _files(".html", "templates")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 160
    ]
    assert wide == []


def test_each_interaction_has_a_plain_fallback() -> None:
    """An `hx-get` sits on an address, an `hx-post` on a form or its button: no script needed."""
    results = []
    for path in _files(".html", "templates"):
        for tag in re.findall(r"<[a-z]+\b[^>]*\bhx-(?:get|post)=[^>]*>", path.read_text()):
            plain = re.match(r"<(a|form|button|section|nav|div|input|select|textarea)\b", tag)
            loads = "hx-trigger" in tag
            if not plain or (plain[1] in {"section", "nav", "div"} and not loads):
                results.append(f"{path.relative_to(ROOT)}: {tag[:80]}")
    assert results == []


def test_rooms_point_right_in_keys_and_sql_too() -> None:
    """What import-linter cannot see: foreign keys by string, and table names inside SQL."""
    order = {room: n for n, room in enumerate(ROOMS)}
    tables = re.compile(rf"\b({'|'.join(ROOMS)})_[a-z]+\b")
    results = []
    for path in _files(".py", *ROOMS):
        room = path.relative_to(ROOT).parts[0]
        for node in nodes_of(path):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            named = set()
            if re.search(r"\b(FROM|JOIN|INTO|UPDATE|TABLE)\b", node.value):
                named = set(tables.findall(node.value))
            elif match := re.fullmatch(rf"({'|'.join(ROOMS)})\.[A-Z][A-Za-z]+", node.value):
                named = {match[1]}
            results += [f"{_at(path, node)} names {n}" for n in named if order[n] < order[room]]
    assert results == []


def test_lock_files_carry_hashes_and_no_addresses() -> None:
    for path in [*_files(".lock"), *_files("package-lock.json")]:
        text = path.read_text()
        assert "://" not in text, path
        # npm writes the hashes in its own words.
        assert "--hash=sha256:" in text or '"integrity": "sha512-' in text, path


def test_every_skip_has_a_reason() -> None:
    """A test is skipped only where the machine lacks what it is about, never to hide a failure."""
    results = [
        _at(path, node)
        for path in _files(".py", "tests")
        if re.search(r"\.(skip|xfail)", path.read_text())
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"skip", "skipif", "xfail"}
        and not any(word.arg == "reason" for word in node.keywords)
    ]
    assert results == []
