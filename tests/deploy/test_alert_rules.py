"""deploy/prometheus: each rule fires on series that it is for, and on no others, by Prometheus' own
evaluation; what it links to says what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.deploy.files import ROOT
from tests.runner.programs import need

FILE: Final = ROOT / "deploy/prometheus/weir.rules.yml"
RULES: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(FILE.read_text())["groups"]
    for rule in group["rules"]
}
WEB_A: Final = '{job="weir",role="web",process="n:1"}'
WEB_B: Final = '{job="weir",role="web",process="n:2"}'
# What a scrape of Weir has where nothing is wrong, each minute.
GOOD: Final = {
    'up{job="weir"}': "1x",
    "weir_ledger_findings_open": "0x",
    "weir_damaged_records_total": "7x",
    'weir_channel_state{channel="a",state="good"}': "1x",
    'weir_channel_state{channel="a",state="open"}': "0x",
    'weir_channel_state{channel="a",state="keys_out"}': "0x",
    'weir_channel_state{channel="b",state="good"}': "1x",
    'weir_channel_state{channel="b",state="open"}': "0x",
    'weir_channel_state{channel="b",state="keys_out"}': "0x",
    'weir_requests_total{model="m",status="200"}': "0+600x",
    'weir_requests_total{model="m",status="503"}': "0+6x",
    "weir_requests_shed_total": "9x",
    # Of a core, one has 0.9 and one 0.5: they need no third.
    f"process_cpu_seconds_total{WEB_A}": "0+54x",
    f"process_cpu_seconds_total{WEB_B}": "0+30x",
    # A worker may take a core for itself, and so may other software.
    'process_cpu_seconds_total{job="weir",role="worker",process="n:3"}': "0+60x",
    'process_cpu_seconds_total{job="node"}': "0+600x",
    f"weir_event_loop_lag_seconds{WEB_A}": "0.03x",
    f"weir_event_loop_lag_seconds{WEB_B}": "0.002x",
    'weir_job_late{job="usage.tasks.roll_up"}': "0x",
    'weir_job_late{job="config.backups.back_up"}': "0x",
    'weir_job_late{job="config.tasks.back_up"}': "0x",
    # A realtime connection may take an hour, and a video longer.
    'weir_queue_oldest_age_seconds{queue="holds"}': "7200x",
    'weir_queue_oldest_age_seconds{queue="deliveries"}': "500x",
    'weir_queue_oldest_age_seconds{queue="holds_to_decide"}': "0x",
    'weir_queue_length{queue="deliveries"}': "90x",
    'weir_queue_length{queue="holds_to_decide"}': "0x",
    "weir_ledger_walked_timestamp_seconds": "0+60x",
    "weir_log_lines_dropped_total": "5x",
}


class Case(NamedTuple):
    """Series in place of those of GOOD, and when the alert fires by them; `quiet_at` it is not."""

    series: dict[str, str]
    fires_at: str
    quiet_at: str
    labels: dict[str, str] = {}


A_OPEN: Final = {
    'weir_channel_state{channel="a",state="good"}': "0x",
    'weir_channel_state{channel="a",state="open"}': "1x",
}
B_KEYS_OUT: Final = {
    'weir_channel_state{channel="b",state="good"}': "0x",
    'weir_channel_state{channel="b",state="keys_out"}': "1x",
}
CASES: Final = {
    "WeirDown": Case({'up{job="weir"}': "0x"}, "3m", "1m", {"job": "weir"}),
    "WeirLedgerFinding": Case({"weir_ledger_findings_open": "0x9 2x"}, "11m", "9m"),
    "WeirRecordsDamaged": Case({"weir_damaged_records_total": "7x9 8x"}, "12m", "9m"),
    "WeirNoChannel": Case({**A_OPEN, **B_KEYS_OUT}, "2m", "30s"),
    "WeirChannelOut": Case(A_OPEN, "6m", "4m", {"channel": "a", "state": "open"}),
    "WeirRequestsFail": Case({'weir_requests_total{model="m",status="503"}': "0+60x"}, "20m", "5m"),
    "WeirRequestsRefused": Case({"weir_requests_shed_total": "9+9x"}, "20m", "4m"),
    "WeirWebProcessesBusy": Case(
        {f"process_cpu_seconds_total{WEB_B}": "0+30x9 300+48x"}, "32m", "19m"
    ),
    "WeirJobLate": Case(
        {'weir_job_late{job="usage.tasks.roll_up"}': "1x"}, "3m", "1m",
        {"job": "usage.tasks.roll_up"},
    ),
    "WeirBackupLate": Case(
        {'weir_job_late{job="config.backups.back_up"}': "1x"}, "3m", "1m",
        {"job": "config.backups.back_up"},
    ),
    "WeirQueueBehind": Case(
        {'weir_queue_oldest_age_seconds{queue="deliveries"}': "601x"}, "6m", "4m",
        {"queue": "deliveries"},
    ),
    "WeirHoldsToDecide": Case(
        {
            'weir_queue_length{queue="holds_to_decide"}': "1x",
            'weir_queue_oldest_age_seconds{queue="holds_to_decide"}': "9000+60x",
        },
        "61m", "59m", {"queue": "holds_to_decide"},
    ),
    # Of the epoch, at which promtool begins: half an hour less than three days before it.
    "WeirLedgerWalkBehind": Case(
        {"weir_ledger_walked_timestamp_seconds": "-257400x"}, "41m", "39m"
    ),
    "WeirLogLinesDropped": Case({"weir_log_lines_dropped_total": "5x9 6x"}, "12m", "9m"),
}  # fmt: skip
# The longest that a case looks at.
MINUTES: Final = 90


def evaluate(folder: Path, series: dict[str, str], expected: dict[str, dict[str, Any]]) -> str:
    """What promtool finds wrong with the alerts that fire at each time; empty if they are these."""
    known = [
        {"series": name, "values": re.sub(r"x$", f"x{MINUTES}", values)}
        for name, values in series.items()
    ]
    asked = [
        {
            "expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}',
            "eval_time": at,
            "exp_samples": [
                {
                    "labels": f'ALERTS{{alertname="{alert}",alertstate="firing",'
                    + ",".join(f'{name}="{value}"' for name, value in labels.items())
                    + "}",
                    "value": 1,
                }
            ]
            if labels is not None
            else [],
        }
        for alert, times in expected.items()
        for at, labels in times.items()
    ]
    file = folder / "test.yml"
    content = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "30s",
        "tests": [{"interval": "1m", "input_series": known, "promql_expr_test": asked}],
    }
    file.write_text(yaml.safe_dump(content))
    ended = subprocess.run(
        [need("promtool"), "test", "rules", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.stdout + ended.stderr if ended.returncode else ""


def test_every_rule_has_its_case() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("alert", CASES)
def test_rule_fires_for_its_case_and_not_before(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    labels = {**case.labels, "severity": RULES[alert]["labels"]["severity"]}
    times = {case.quiet_at: None, case.fires_at: labels}
    assert evaluate(tmp_path, {**GOOD, **case.series}, {alert: times}) == ""


def test_nothing_fires_without_a_problem(tmp_path: Path) -> None:
    quiet: dict[str, Any] = dict.fromkeys(("1m", "90m"))
    assert evaluate(tmp_path, GOOD, dict.fromkeys(RULES, quiet)) == ""


def test_single_process_with_waiting_requests_alerts(tmp_path: Path) -> None:
    """Whatever the CPU says, and whatever the others do."""
    lag = {f"weir_event_loop_lag_seconds{WEB_B}": "0.002x4 0.051x"}
    firing = {"severity": "warning"}
    times: dict[str, Any] = {"14m": None, "16m": firing}
    assert evaluate(tmp_path, {**GOOD, **lag}, {"WeirWebProcessesBusy": times}) == ""


def test_process_busy_for_minutes_does_not_mean_too_few(tmp_path: Path) -> None:
    lag = {f"weir_event_loop_lag_seconds{WEB_B}": "0.002x4 0.2x8 0.002x"}
    quiet: dict[str, Any] = dict.fromkeys(("12m", "15m", "30m"))
    assert evaluate(tmp_path, {**GOOD, **lag}, {"WeirWebProcessesBusy": quiet}) == ""


def test_missing_scrape_alerts(tmp_path: Path) -> None:
    series = {name: values for name, values in GOOD.items() if not name.startswith("up")}
    down = {"job": "weir", "severity": "critical"}
    assert evaluate(tmp_path, series, {"WeirDown": {"3m": down}}) == ""


def test_single_failed_request_alerts_no_one(tmp_path: Path) -> None:
    series = {
        'weir_requests_total{model="m",status="200"}': "5x",
        'weir_requests_total{model="m",status="503"}': "0x9 1x20 2x",
    }
    quiet: dict[str, Any] = dict.fromkeys(("12m", "16m", "33m"))
    assert evaluate(tmp_path, {**GOOD, **series}, {"WeirRequestsFail": quiet}) == ""


def test_an_evaluation_that_differs_is_found(tmp_path: Path) -> None:
    expected: dict[str, Any] = {"WeirLedgerFinding": {"5m": {"severity": "critical"}}}
    assert "FAILED" in evaluate(tmp_path, GOOD, expected)


@pytest.mark.parametrize("alert", RULES)
def test_rule_links_its_runbook(alert: str) -> None:
    """To a section that the table at its beginning names with this alert."""
    page, anchor = RULES[alert]["annotations"]["runbook_url"].split("#")
    text = (ROOT / page).read_text()
    [title] = re.findall(rf"^\| \[([^\]]+)\]\(#{anchor}\) \| `{alert}` \|", text, re.MULTILINE)
    assert f"\n## {title}\n" in text
    assert title.lower().replace(" ", "-") == anchor
