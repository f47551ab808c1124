"""Which tests `make test` runs: this is the rule, and there is no mark for it.

`make test` (`--quick`) runs of each test function as many rows as fit in its time: in PROVING_S if
`docs/promises.md` names it as the proof of a promise, in DECIDING_S if it is about money, authority
or isolation, or about the scripts of the pages, else in ANY_S.

- Each value of each of its parameters comes first, then rows evenly spread over all.
- One row runs of a function whose rows do not fit, if it takes at most ONE_TIMES that time. All
  other functions are for `make test ALL=1` alone.
- Rows of ALWAYS_S or less run in any case, and so does a function that WHOLE names. Of one that
  ONE_ROW names, at least one row runs, or one for each code of a promise (F1) that its rows name.

What a function takes stands in times.txt beside it, as measured by a run of everything: the seconds
that come once, whichever row is first, the seconds of each row, and its name. What is not there is
quick, or new, and runs whole; the last lines of `make test` name what took longer than its lane
has. `make test ALL=1 ARGS=--record-times` measures anew; the seconds are those of the machine that
measured first, so that a faster one moves no test.

Whoever names a file or a test gets all of it.
"""

import re
import statistics
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from _pytest.python import CallSpec, FunctionDefinition

ROOT: Final = Path(__file__).parents[2]
TIMES: Final = Path(__file__).with_name("times.txt")
ANY_S: Final = 0.1
DECIDING_S: Final = 0.5
PROVING_S: Final = 3.0
ONE_TIMES: Final = 2.0
ALWAYS_S: Final = 0.02
# What decides about money, authority and isolation; and the scripts, which nothing quicker sees.
DECIDING: Final = (
    "tests/accounts/", "tests/billing/", "tests/content/", "tests/gateway/own_keys/",
    "tests/isolation/", "tests/lib/network/", "tests/playground/payers/", "tests/relay/attempts/",
    "tests/relay/counting/", "tests/relay/credentials/", "tests/relay/hold_sizes/",
    "tests/relay/holds/", "tests/relay/ledger/", "tests/relay/metering/", "tests/relay/own_keys/",
    "tests/usage/books/", "tests/usage/months/", "tests/browser/test_scripts",
)  # fmt: skip
# What each of these proves, nothing cheaper does.
WHOLE: Final[Mapping[str, str]] = {
    "tests/house/test_answers.py::test_every_page_part_form_and_list_works": "every page and list",
    "tests/house/test_answers.py::test_answers_show_nobody_what_is_not_theirs": "every answer",
    "tests/house/test_answers.py::test_each_page_says_what_its_outline_says": "every page",
    "tests/house/test_answers.py::test_each_scene_says_what_its_outline_says": "every rare state",
    "tests/house/test_answers.py"
    "::test_each_press_is_answered_and_leaves_what_its_outline_says": "every button",
    "tests/house/test_module_data.py"
    "::test_tables_and_members_of_records_are_unchanged": "every table",
    "tests/house/test_row_locks.py"
    "::test_organisations_and_people_are_locked_without_their_key": "every lock",
    "tests/config/jobs/test_waiting_work.py::test_job_does_what_waits_for_it": "every job",
    "tests/config/test_command_outputs.py"
    "::test_command_prints_its_words_and_ends_with_its_code": "every command",
    "tests/config/test_command_outputs.py::test_command_prints_what_there_is": "every command",
    "tests/config/test_figures.py::test_file_has_its_name_its_columns_and_its_row": "every file",
    "tests/notify/deliveries/test_receivers.py"
    "::test_email_of_each_kind_goes_to_those_whom_it_concerns": "every kind of email",
    "tests/notify/deliveries/test_receivers.py"
    "::test_members_limited_to_teams_get_emails_about_these_alone": "every kind of email",
    "tests/house/test_answers.py::test_each_part_is_contained_in_its_page": "every part",
    "tests/house/test_answers.py::test_each_page_of_the_menu_leads_to_its_help": "every page",
    "tests/house/test_answers.py::test_every_htmx_address_is_a_page": "every address of htmx",
    "tests/house/test_answers.py::test_every_table_is_requested": "every list",
    "tests/house/test_answers.py::test_every_button_works": "every button",
    "tests/house/test_answers.py::test_each_page_that_offers_changes_is_asked_as_every_reader": (
        "every page that offers changes"
    ),
    "tests/house/test_offers.py::test_readers_are_offered_what_they_may_do": (
        "every offer, to those who may do some"
    ),
    "tests/isolation/test_pages.py::test_pages_show_only_permitted_data": "every page",
    "tests/isolation/test_operations.py::test_operations_show_only_permitted_data": (
        "every operation"
    ),
    "tests/isolation/test_streams.py::test_streams_show_only_permitted_data": "every stream",
    "tests/isolation/test_colleagues.py::test_pages_and_operations_show_nothing_of_colleagues": (
        "every page and operation, beside colleagues"
    ),
    "tests/gateway/test_form_answers.py::test_each_form_leads_where_it_says": (
        "every form of operators for channels, models and prices"
    ),
    "tests/gateway/test_form_answers.py::test_each_operation_answers_with_what_it_wrote": (
        "every operation that writes channels, models and prices"
    ),
    "tests/extensions/import_hubs/test_converted.py::test_each_row_of_a_hub_becomes_what_it_was": (
        "every column of other hubs"
    ),
    "tests/config/test_empty_states.py::test_each_empty_page_says_so": "every empty state",
    "tests/config/test_empty_states.py::test_filled_page_never_claims_to_be_empty": (
        "every empty state"
    ),
    "tests/config/test_empty_states.py::test_each_empty_state_template_is_covered": (
        "every empty state"
    ),
    "tests/config/test_figures.py::test_list_shows_the_actual_figures": "every list of figures",
    "tests/config/test_figures.py::test_file_and_api_contain_the_actual_figures": (
        "every list of figures in files and the API"
    ),
    "tests/config/test_read_lists.py::test_each_row_is_read_once_in_every_order": "every list",
    "tests/config/test_read_lists.py::test_file_has_each_row_once": "every list",
    "tests/config/test_read_lists.py::test_api_lists_each_item_once": "every list of the API",
    "tests/config/test_read_lists.py::test_search_finds_names_however_they_are_typed": (
        "every search"
    ),
    "tests/notify/deliveries/test_languages.py::"
    "test_email_and_chat_are_in_the_readers_language": "every kind of fact",
    "tests/playground/chats/test_page_state.py::"
    "test_sent_draft_and_deleted_chat_are_gone_after_a_reload": "what a browser keeps",
    "tests/house/test_timers.py::test_every_timer_and_task_has_a_row": "every timer and task",
    "tests/relay/test_bounds.py::test_every_bound_of_the_relay_has_a_row": "every bound",
    "tests/relay/test_bounds.py::test_limit_is_accepted_and_nothing_beyond_it": "every bound",
    "tests/config/test_writes.py::test_write_is_audited_with_its_actor_and_published_to_relays": (
        "every write"
    ),
    "tests/config/test_every_write.py::test_every_change_is_audited": "every write",
    "tests/config/test_arguments.py::test_each_argument_is_seen_afterwards": "every write",
    "tests/config/test_stale_rows.py::test_write_decides_by_the_row_as_it_is": "every write",
    "tests/config/test_stale_rows.py::test_write_of_a_row_that_is_gone_records_nothing": (
        "every write"
    ),
    "tests/config/test_edit_forms.py::test_form_opens_with_what_is_there_and_changes_nothing": (
        "every form"
    ),
    "tests/house/test_forwarding.py::test_optional_arguments_are_passed_on": "every call",
    "tests/house/test_bulk_statements.py"
    "::test_every_statement_reaches_the_rows_that_its_row_names": "every statement",
    "tests/house/test_states_read.py::test_every_place_asks_for_the_states_of_its_row": (
        "every condition"
    ),
    "tests/notify/test_every_alarm.py::test_real_worker_delivers_every_alarm": "every alarm",
    "tests/notify/test_every_alarm.py::test_payload_matches_the_reference": "every alarm",
    "tests/relay/metering/test_golden_charges.py"
    "::test_a_documented_usage_is_charged_to_the_nano": "every kind of usage",
    "tests/browser/test_main_job.py::test_keyboard_goes_from_sign_in_to_the_receipt": (
        "the main job in a browser"
    ),
    "tests/acceptance/test_installation.py::test_applied_file_is_enough_to_serve": "the main job"
    " of a fresh installation",
    "tests/stack/test_wheels.py::test_dialects_wheel_takes_only_its_own_name": "a real wheel",
    "tests/dialects/test_every_request.py::test_request_is_read_and_sent_to_each_dialect": (
        "every member of a request"
    ),
    "tests/dialects/test_every_request.py"
    "::test_request_is_sent_otherwise_to_models_that_differ": "every flag of a model",
    "tests/dialects/test_every_request.py::test_request_is_edited_for_models_that_differ": (
        "every flag of a model"
    ),
    "tests/dialects/test_every_fault.py"
    "::test_wrong_member_of_a_request_is_rejected_by_its_name": "every member of a request",
    "tests/dialects/test_every_answer.py::test_stream_is_written_and_read_again": (
        "everything that an answer has"
    ),
    "tests/dialects/test_every_answer.py::test_whole_answer_is_written_and_read_again": (
        "everything that an answer has"
    ),
    "tests/dialects/test_every_answer.py::test_answer_of_a_provider_is_read": (
        "everything that an answer has"
    ),
    "tests/dialects/upstream_errors/test_every_error.py"
    "::test_error_is_read_by_its_status_code_and_message": "every error of a provider",
    "tests/dialects/test_every_answer.py::test_each_error_is_written_and_read_again": (
        "every kind of error"
    ),
}
ONE_ROW: Final[Mapping[str, str]] = {
    "tests/relay/attempts/test_fault_table.py::test_before_the_first_content": "each fault",
    "tests/relay/attempts/test_fault_table.py::test_after_the_first_content": "each fault",
    "tests/relay/attempts/test_fault_table.py::test_faults_unnoticed_by_the_client": "each fault",
    "tests/relay/attempts/test_fault_table.py::test_redirects_are_never_followed": "F21",
    "tests/relay/attempts/test_fault_table.py::test_operators_learn_of_counts_under_review": "F27",
    "tests/relay/attempts/test_shadow_traffic.py::test_an_unknown_cost_is_not_zero": "shadow costs",
    "tests/usage/books/test_findings.py::test_the_next_check_finds_a_changed_budget_counter": "P33",
    "tests/playground/runs/test_live.py::test_enter_sends_and_input_methods_do_not": "W10",
    "tests/usage/months/test_invoice_pages.py::test_list_page_pdf_and_api_match_the_ledger": "W42",
    "tests/relay/test_interactions.py::test_official_client": "a client of Google",
    "tests/isolation/test_colleagues.py::test_the_palette_finds_nothing_of_colleagues": (
        "colleagues in the palette"
    ),
    "tests/isolation/test_colleagues.py::test_exports_hold_nothing_of_colleagues": (
        "colleagues in exports"
    ),
    "tests/config/test_own_authority.py::test_no_other_code_sets_up_tls": "an own authority",
    "tests/usage/books/test_invariants.py"
    "::test_a_day_is_walked_again_only_when_a_row_was_written": "P33, of changes by hand",
    "tests/config/shell/test_page_paths.py::test_a_page_is_the_first_that_matches_of_all": (
        "every address"
    ),
    "tests/browser/test_pickers.py::test_an_enter_before_its_list_takes_one_row": (
        "a key pressed before its list"
    ),
    "tests/house/test_workers.py::test_counts_include_all_workers": "what runs the suite",
    "tests/config/test_bounds.py::test_every_limit_in_the_code_is_reached": "every limit",
    "tests/config/test_numbers.py::test_every_number_is_unchanged": "every number",
    "tests/relay/front/test_inside.py::test_no_spelling_of_an_internal_address_is_reached": (
        "P13, of the model API"
    ),
    "tests/relay/attempts/test_shadow_traffic.py"
    "::test_shadow_is_compared_and_only_one_answer_shown_and_paid": "shadow traffic",
    "tests/config/system/test_extensions.py::test_broken_extension_is_off_whole": "extensions",
    "tests/playground/chats/test_several.py"
    "::test_column_of_a_comparison_continues_from_one_answer": "W11",
    "tests/usage/limits/test_raise_pages.py::test_limits_over_the_api": "W35",
    "tests/extensions/import_hubs/test_converted.py::test_import_writes_what_was_converted": (
        "what an import writes"
    ),
    # Nothing else of its noun would run.
    "tests/config/erasure/test_erasure_pages.py"
    "::test_keys_handle_personal_data_only_where_allowed": "the pages of erasure",
    "tests/playground/prompts/test_prompt_api.py"
    "::test_a_prompt_is_saved_put_in_production_and_deleted": "prompts",
    "tests/relay/preparation/test_overrides.py"
    "::test_a_refused_field_goes_to_another_channel_or_is_named": "overrides of channels",
    "tests/config/apply/test_apply_access.py"
    "::test_invalid_file_is_reported_by_line_and_writes_nothing": "access in a file",
    "tests/config/apply/test_apply_money.py::test_invalid_price_or_plan_names_its_line": (
        "money in a file"
    ),
    "tests/playground/turns/test_summaries.py::test_no_one_else_summarises_a_chat": "P12",
    "tests/playground/chats/test_sharing.py"
    "::test_link_ends_by_time_with_its_chat_or_by_its_maker": "P12, of links",
    "tests/relay/previews/test_bound_covers.py::test_bound_covers_the_charge": "what is held",
    "tests/relay/routing/test_session_affinity.py"
    "::test_requests_without_a_session_rotate_keys": "sessions and keys",
    "tests/relay/test_isolation.py::test_no_path_answers_an_invalid_key": (
        "isolation of the model API"
    ),
    "tests/relay/upstream/test_wrong_keys.py"
    "::test_wrong_key_leads_to_the_next_channel_and_rests": "wrong keys of channels",
    "tests/usage/keys/test_key_page.py::test_each_limit_stands_under_its_own_name": (
        "the page of a key"
    ),
    "tests/usage/margin/test_margin.py::test_requests_without_a_model_are_named": "margin",
    "tests/usage/organisations/test_member_pages.py::test_filters_and_order": "members' usage",
    "tests/usage/organisations/test_team_views.py"
    "::test_team_shows_its_projects_members_and_limits": "a team's usage",
    "tests/usage/reports/test_sums_alone.py::test_pages_show_the_sums_without_the_rows": "sums",
    "tests/browser/test_pages.py::test_controls_are_clickable_in_the_middle_and_do_not_overlap": (
        "what a phone shows is pressed"
    ),
}
# Their marks; what they are run by asks for no lane.
OTHER_LANES: Final = ("slow", "agents")
# What `-m` is where nothing else is asked for (pyproject.toml).
_SUITE: Final = " and ".join(f"not {name}" for name in OTHER_LANES)
# The functions of which no row runs.
_WITHOUT: Final = pytest.StashKey[set[str]]()
_PROMISE: Final = re.compile(r"\b[FIPW]\d+[a-z]?\b")
_PROOF: Final = re.compile(r"`(tests/[\w/.]+\.py::\w+)`")


class Row(NamedTuple):
    """One row of a test function: its id, and the place of its value in each of its parameters."""

    nodeid: str
    places: frozenset[tuple[str, int]] = frozenset()


class Takes(NamedTuple):
    """The seconds of a function: what comes once, whichever row is first, and each row."""

    once: float
    row: float


def quick_rows(
    rows: Sequence[Row], known: Mapping[str, Takes], proofs: frozenset[str]
) -> Iterator[str]:
    """The ids of those that `make test` runs, from those of the suite, in any order.

    `known` are the functions that are not quick, `proofs` those that prove promises.
    """
    by_function = defaultdict[str, list[Row]](list)
    for row in rows:
        by_function[function_of(row.nodeid)].append(row)
    for function, its in by_function.items():
        count = count_of(function, len(its), known, proofs)
        yield from (row.nodeid for row in spread(its, count, codes=function in ONE_ROW))


def count_of(function: str, rows: int, known: Mapping[str, Takes], proofs: frozenset[str]) -> int:
    """How many of the rows of a function `make test` runs, apart from codes of promises."""
    once, each = known.get(function, Takes(0.0, 0.0))
    if function in WHOLE or once + each <= ALWAYS_S:
        return rows
    bound = bound_of(function, proofs)
    if once + each > bound:
        return int(function in ONE_ROW or once + each <= ONE_TIMES * bound)
    return rows if each <= ALWAYS_S else min(rows, int((bound - once) / each))


def bound_of(function: str, proofs: frozenset[str]) -> float:
    """The seconds that `make test` gives to a function."""
    if function in proofs:
        return PROVING_S
    return DECIDING_S if function.startswith(DECIDING) else ANY_S


def spread(rows: Sequence[Row], count: int, *, codes: bool = False) -> list[Row]:
    """So many of them: with `codes` one for each code of a promise first, even if these are more;
    then each value of each parameter; then evenly spread."""
    if count >= len(rows):
        return list(rows)
    chosen = _one_for_each_code(rows) if codes else []
    seen = {place for row in chosen for place in row.places}
    left = [row for row in _evenly(rows) if row not in chosen]
    while len(chosen) < count:
        best = max(left, key=lambda row: len(row.places - seen))
        left.remove(best)
        chosen.append(best)
        seen |= best.places
    return [row for row in rows if row in chosen]


def _one_for_each_code(rows: Sequence[Row]) -> list[Row]:
    chosen, seen = [], set[str]()
    for row in rows:
        if new := {*_PROMISE.findall(row.nodeid.partition("[")[2])} - seen:
            seen |= new
            chosen.append(row)
    return chosen


def _evenly(rows: Sequence[Row]) -> list[Row]:
    """All of them, so that the first few are spread over all."""
    order = sorted(range(len(rows)), key=lambda n: int(f"{n:032b}"[::-1], 2))
    return [rows[n] for n in order]


def function_of(nodeid: str) -> str:
    return nodeid.partition("[")[0]


@cache
def times() -> dict[str, Takes]:
    """What functions take, as measured."""
    lines = [line.split() for line in TIMES.read_text().splitlines()]
    return {function: Takes(float(once), float(row)) for once, row, function in lines}


def takes(rows: Sequence[float]) -> Takes:
    """What a function takes, from the seconds of its rows. What one row takes more than five of
    the others comes once, such as what is made for all rows."""
    middle = statistics.median(rows)
    if len(rows) > 2 and max(rows) > 5 * middle:
        return Takes(max(rows) - middle, middle)
    return Takes(0.0, sum(rows) / len(rows))


@cache
def proofs() -> frozenset[str]:
    """The functions that the promises name as their proof."""
    return frozenset(_PROOF.findall((ROOT / "docs/promises.md").read_text()))


def renewed(known: Mapping[str, Takes], new: Mapping[str, Takes]) -> dict[str, Takes]:
    """What is known, with what was measured anew in the seconds of the machine that measured first:
    the functions in both take as long as they did."""
    in_both = known.keys() & new.keys()
    before = sum(sum(known[name]) for name in in_both)
    now = sum(sum(new[name]) for name in in_both)
    scale = before / now if now else 1.0
    scaled = {name: Takes(once * scale, row * scale) for name, (once, row) in new.items()}
    return {**known, **scaled}


def unlisted(
    seconds: Mapping[str, float], known: Mapping[str, Takes], proofs: frozenset[str]
) -> list[str]:
    """The functions that are not known and took longer than a known one may, the longest first."""
    slow = {
        name: took
        for name, took in seconds.items()
        if name not in known and took > ONE_TIMES * bound_of(name, proofs)
    }
    return sorted(slow, key=lambda name: (-slow[name], name))


# In a run ----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="run what `make test` runs")
    parser.addoption("--record-times", action="store_true", help="renew tests/runner/times.txt")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_WITHOUT] = set()
    if config.getoption("record_times") or config.getoption("quick"):
        config.pluginmanager.register(_Recorder())


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """Make no tests of rows that do not run: all of them would be half of what is collected. Of a
    function without any, one is left, which is deselected."""
    yield
    definition, calls, config = metafunc.definition, metafunc._calls, metafunc.config
    is_quick = config.getoption("quick")
    if not calls or _is_named(definition) or not (is_quick or config.option.markexpr == _SUITE):
        return
    kept = list[CallSpec]()
    if not _is_of_other_lane(definition.iter_markers()):
        in_suite = [call for call in calls if not _is_of_other_lane(call.marks)]
        kept = _kept(definition.nodeid, in_suite) if is_quick else in_suite
    metafunc._calls = kept or calls[:1]
    if is_quick and not kept:
        config.stash[_WITHOUT].add(definition.nodeid)


def _kept(name: str, calls: Sequence[CallSpec]) -> list[CallSpec]:
    """The rows that run. What a row has of each parameter is not known later: pytest counts rows
    then."""
    rows = {
        f"{name}[{call.id}]": (call, Row(f"{name}[{call.id}]", frozenset(call.indices.items())))
        for call in calls
    }
    return [rows[id][0] for id in quick_rows([row for _, row in rows.values()], times(), proofs())]


def _is_of_other_lane(marks: Iterable[pytest.Mark]) -> bool:
    return any(mark.name in OTHER_LANES for mark in marks)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("quick"):
        return
    without = config.stash[_WITHOUT]
    others = {
        item.nodeid
        for item in items
        if function_of(item.nodeid) in without
        or (
            not hasattr(item, "callspec")
            and not _is_named(item)
            and not count_of(item.nodeid, 1, times(), proofs())
        )
    }
    if others:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in others])
        items[:] = [item for item in items if item.nodeid not in others]


def _is_named(node: pytest.Item | FunctionDefinition) -> bool:
    """Whether whoever runs the tests has named its file, or a test of it."""
    return node.path in _named(node.config)


@cache
def _named(config: pytest.Config) -> frozenset[Path]:
    names = [argument.partition("::")[0] for argument in config.args]
    return frozenset((config.invocation_params.dir / name).resolve() for name in names)


# Recording ---------------------------------------------------------------------------------------


class _Recorder:
    """Renews times.txt, or names what is slow and not there: by the seconds of the rows of each
    function that has run, without what is made once for the whole run. What is made once for a file
    or a folder counts for each function that uses it, whichever has come first."""

    def __init__(self) -> None:
        self._unlisted = list[str]()
        self._rows = defaultdict[str, dict[str, float]](lambda: defaultdict(float))
        self._skipped = set[str]()
        # The seconds of a fixture of a file or folder, by where it is and its name.
        self._shared: dict[str, float] = {}
        self._made: dict[str, float] = {}
        self._depth = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object]
    ) -> Generator[None, object, object]:
        is_shared = fixturedef.scope != "function"
        self._depth += is_shared
        begun = time.perf_counter()
        try:
            return (yield)
        finally:
            self._depth -= is_shared
            if is_shared and not self._depth:
                self._made[_name_of(fixturedef)] = time.perf_counter() - begun

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        report.made, self._made = self._made, {}  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        function = function_of(report.nodeid)
        if report.skipped:
            self._skipped.add(function)
        # That of a worker that was lost has none.
        made: dict[str, float] = getattr(report, "made", {})
        self._rows[function][report.nodeid] += report.duration - sum(made.values())
        self._shared |= {
            name: seconds for name, seconds in made.items() if not name.startswith("session")
        }

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput") or not self._rows:
            return
        new, seconds = {}, {}
        for function, used in self._used(session).items():
            if function in self._rows and function not in self._skipped:
                rows = [*self._rows[function].values()]
                made = sum(self._shared.get(name, 0) for name in used)
                once, row = takes(rows)
                new[function], seconds[function] = Takes(once + made, row), sum(rows) + made
        if not session.config.getoption("record_times"):
            self._unlisted = [
                f"{seconds[name]:.1f} s {name}" for name in unlisted(seconds, times(), proofs())
            ]
            return
        known = renewed(times(), new)
        lines = [
            f"{known[name].once:.3f} {known[name].row:.3f} {name}\n"
            for name in sorted(known)
            if sum(known[name]) > ALWAYS_S and (ROOT / name.partition("::")[0]).exists()
        ]
        TIMES.write_text("".join(lines))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._unlisted:
            terminalreporter.section("slower than make test has time for, and not in times.txt")
            terminalreporter.write_line("\n".join(self._unlisted))

    def _used(self, session: pytest.Session) -> dict[str, set[str]]:
        """The fixtures that each function uses."""
        return {
            function_of(item.nodeid): {
                _name_of(definitions[-1])
                for definitions in item._fixtureinfo.name2fixturedefs.values()
            }
            for item in session.items
            if isinstance(item, pytest.Function)
        }


def _name_of(fixture: pytest.FixtureDef[object]) -> str:
    return f"{fixture.scope} {fixture.baseid} {fixture.argname}"
