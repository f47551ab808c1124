"""What commands report: each count by its own name, what is left out, and errors as errors."""

import datetime as dt
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from accounts.access.actors import SYSTEM
from accounts.models import SecretCheck
from billing.prices.catalogue.shipped import Brought
from config.management.commands import (
    backup,
    load_catalogue,
    month,
    propose_prices,
    restore,
    rotate_secrets,
    verify,
)
from config.system.backups import Written
from config.system.secret_check import check_secrets
from extensions.clickhouse.client import ClickHouseError
from extensions.clickhouse.management.commands import rebuild_clickhouse
from extensions.record_sink import contents, sending
from usage.management.commands import demo_data as demo_data_command
from usage.management.commands import rebuild_rollups
from usage.management.demo_data import DAYS, Filled
from usage.month_files.file import MonthFileBroken
from usage.months import detaching
from usage.months.detaching import MonthRefused, MonthState
from usage.rollups.rollups import Rolled
from usage.sinks.usage_sink import SinkError

MARCH = dt.date(2026, 3, 1)


def said(*words: str, **options: Any) -> str:
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("made", "proposed", "told"),
    [
        (70, (0, 0, 0), "70 prices from list 9"),
        (0, (3, 5, 7), "list 9 proposes 3 new prices, 5 changes and 7 removals."),
        (0, (0, 0, 0), "the price list is already loaded"),
    ],
)
def test_price_list_is_loaded_or_proposed(
    monkeypatch: pytest.MonkeyPatch, made: int, proposed: Any, told: str
) -> None:
    brought = Brought("list 9", made, proposed)
    monkeypatch.setattr(load_catalogue, "load_shipped_catalogue", lambda actor: brought)
    assert told in said("load_catalogue")


@pytest.mark.django_db
def test_proposed_prices_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    result = {
        "prices": {"added": 3, "changed": 5, "removed": 7},
        "facts": {"added": 1, "changed": 2, "removed": 4}, "unknown": {"speed": 6},
        "skipped": {"m": "why"}, "skipped_count": 9,
    }  # fmt: skip
    update = SimpleNamespace(result=result)
    monkeypatch.setattr(propose_prices, "update_catalogue", lambda *args: update)
    monkeypatch.setattr(propose_prices, "_read", lambda place: b"{}")
    text = said("propose_prices", "list.json")
    assert "3 new prices, 5 changes and 7 removals are proposed, and 7 facts" in text
    assert "9 models are left out and 1 fields are unknown" in text
    loud = said("propose_prices", "list.json", verbosity=2)
    assert "left out: m: why" in loud
    assert "unknown field: speed: of 6 models" in loud


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What the checks find, for a test to fill."""
    found: dict[str, list[Any]] = {"charges": [], "jobs": [], "sinks": [], "seals": []}
    findings = SimpleNamespace(broken={}, unfinished=[])
    for name, value in (
        ("broken_in_all", lambda: findings),
        ("wrong_charges", lambda: found["charges"]),
        ("find_unsealed", lambda cursor: found["seals"]),
        ("used_copies", lambda: found["sinks"]),
        ("job_states", lambda: found["jobs"]),
    ):
        monkeypatch.setattr(verify, name, value)
    return found


def job(name: str, *, late: bool) -> Any:
    return SimpleNamespace(
        late=late, problem="no run", job=SimpleNamespace(title=name, task=f"t.{name}")
    )


@pytest.mark.django_db
def test_verification_names_five_rows_of_a_rule_and_counts_all(
    verified: dict[str, list[Any]],
) -> None:
    assert "invariants hold." in said("verify")
    verified["jobs"] = [job("one", late=False)]
    assert "invariants hold." in said("verify")
    verified["charges"] = [(f"r{n}", "differs") for n in range(7)]
    verified["jobs"].append(job("two", late=True))
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("verify", stdout=out)
    assert end.value.code == 1
    lines = out.getvalue().splitlines()
    assert sum(": r" in line for line in lines) == 5
    assert "I10 cost recomputes: and 2 more" in lines
    assert "background job: two (t.two): no run" in lines
    assert lines[-1] == "8 rows are wrong."


@pytest.mark.django_db
def test_restored_installation_is_checked_for_tampering(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = SimpleNamespace(made_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    done = SimpleNamespace(manifest=manifest, sessions=4, requests=9)
    called: list[tuple[str, bool]] = []
    monkeypatch.setattr(restore, "restore", lambda file, step: done)
    monkeypatch.setattr(
        restore, "call_command", lambda name, **given: called.append((name, given["tamper_check"]))
    )
    text = said("restore", str(tmp_path / "a.zip"))
    assert "9 requests that were in flight are ended, 4 sign-ins are ended." in text
    assert called == [("verify", True)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("away", "where"), [(True, "in this file alone"), (False, "in the database too")]
)
def test_checked_month_says_where_its_rows_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, away: bool, where: str
) -> None:
    check_secrets()
    manifest = SimpleNamespace(month=MARCH, rows={"records": 3, "attempts": 4})
    monkeypatch.setattr(detaching, "check_file", lambda file, key: (manifest, away))
    text = said("month", "check", str(tmp_path / "m"))
    assert text.startswith("2026-03: 7 rows")
    assert where in text


@pytest.mark.django_db
def test_months_are_listed_with_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    check_secrets()
    file = SimpleNamespace(name="m.zip", rows={"records": 3}, bytes=800, digest=b"\x0a\x0b")
    detached: Any = SimpleNamespace(file=file)
    states = [
        MonthState(MARCH, writable=False, detached=detached),
        MonthState(MARCH.replace(month=4), writable=False, detached=None),
        MonthState(MARCH.replace(month=5), writable=True, detached=None),
    ]
    monkeypatch.setattr(detaching, "month_states", lambda: states)
    first, second, third = said("month", "list").splitlines()
    assert first == "2026-03: in m.zip: 3 rows, 800 bytes, SHA-256 0a0b"
    assert second.startswith("2026-04: in the database; detaching was cut off")
    assert third == "2026-05: in the database"


def test_backup_into_a_folder_gets_a_name_with_its_time(tmp_path: Path) -> None:
    file = backup._file_of(tmp_path)
    assert (file.parent, file.suffix) == (tmp_path, ".zip")
    assert file.name.startswith("weir-20")
    assert backup._file_of(tmp_path / "own.zip") == tmp_path / "own.zip"


@pytest.mark.django_db
@pytest.mark.parametrize(("unopened", "code"), [({}, None), ({"gateway_channelkey": 2}, 1)])
def test_secret_that_no_key_opens_is_an_error(
    monkeypatch: pytest.MonkeyPatch, unopened: dict[str, int], code: int | None
) -> None:
    """And each key of the ring says whether it is still needed."""
    check_secrets()
    keks: Any = {"a": 5, "b": 0, "c": 3, "old": 1}
    rotation = SimpleNamespace(keks=keks, unopened=unopened)
    ring = SimpleNamespace(keks=[SimpleNamespace(id=name) for name in ("a", "b", "c")])
    monkeypatch.setattr(rotate_secrets, "rewrap_all", lambda: rotation)
    monkeypatch.setattr(rotate_secrets, "vault", lambda: ring)
    kept = SecretCheck.objects.get()
    monkeypatch.setattr(rotate_secrets, "forget_unneeded", lambda keks: kept)
    out = StringIO()
    if code is None:
        call_command("rotate_secrets", stdout=out)
    else:
        with pytest.raises(SystemExit) as end:
            call_command("rotate_secrets", stdout=out)
        assert end.value.code == code
        assert "gateway_channelkey: 2 secrets open with no key" in out.getvalue()
    lines = out.getvalue().splitlines()
    assert lines[0] == "Key a (the first): 5 secrets."
    assert lines[1].startswith("Key b: nothing needs it.")
    assert lines[2].startswith("Key c: 3 secrets.")
    assert "Key old: 1 secrets; WEIR_KEK does not hold it." in lines


@pytest.mark.parametrize(("words", "days"), [(["--days=3"], 3), ([], DAYS)])
def test_demo_data_covers_the_days_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, words: list[str], days: int
) -> None:
    asked: list[tuple[int, int]] = []

    def fill(rows: int, *, days: int) -> Filled:
        asked.append((rows, days))
        return Filled(5, dt.datetime(2026, 3, 1), dt.datetime(2026, 3, 4))  # noqa: DTZ001

    monkeypatch.setattr(demo_data_command, "fill", fill)
    assert said("demo_data", "--rows=7", *words).startswith(
        "5 requests from 2026-03-01 to 2026-03-04 in "
    )
    assert asked == [(7, days)]


@pytest.mark.parametrize(
    "words",
    [
        ("demo_data",), ("demo_data", "--rows=0"), ("demo_data", "--rows=5", "--days=0"),
        ("month", "detach", "2026-13", "--to", "f"), ("month", "detach", "2026-03"),
        ("month", "reopen", "March"), ("month",), ("month", "drop", "2026-03"),
        ("import_from", "dify", "f"), ("backup",), ("restore",), ("apply",), ("apply", "a", "b"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_before_anything_runs(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"^Error: "):
        call_command(*words)


@pytest.fixture
def months(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of the months."""
    calls: list[tuple[Any, ...]] = []

    class Detached(SimpleNamespace):
        def __str__(self) -> str:
            return "2026-03"

    detached = Detached(file=SimpleNamespace(rows={"records": 3, "attempts": 4}))

    def asked(name: str, result: Any) -> Any:
        def call(*args: Any) -> Any:
            calls.append((name, *args))
            return result

        return call

    monkeypatch.setattr(month, "compare_secrets", asked("compare", None))
    monkeypatch.setattr(month, "seal_key", lambda: b"key")
    monkeypatch.setattr(detaching, "detach", asked("detach", detached))
    monkeypatch.setattr(detaching, "attach", asked("attach", detached))
    monkeypatch.setattr(detaching, "reopen", asked("reopen", True))
    return calls


@pytest.mark.parametrize(
    ("words", "call", "told"),
    [
        (["detach", "2026-03", "--to", "m.zip"],
         ("detach", SYSTEM, MARCH, Path.cwd() / "m.zip", b"key"),
         "2026-03: 7 rows are in m.zip now, and not in the database."),
        (["attach", "m.zip"], ("attach", SYSTEM, Path("m.zip"), b"key"),
         "2026-03: 7 rows are in the database again."),
        (["reopen", "2026-03"], ("reopen", MARCH), "2026-03: open again."),
    ],
)  # fmt: skip
def test_month_is_moved_only_beside_its_own_secrets(
    months: list[tuple[Any, ...]], words: list[str], call: tuple[Any, ...], told: str
) -> None:
    """With other secrets no file matches, which must not look like altered files."""
    assert said("month", *words).startswith(told)
    assert months == [("compare",), call]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MonthRefused("it is not closed"), "it is not closed"),
        (MonthFileBroken("it was altered"), "it was altered"),
        (FileNotFoundError(2, "No such file", "m.zip"), "m.zip: No such file."),
    ],
)
def test_month_that_stays_is_an_error(
    monkeypatch: pytest.MonkeyPatch, months: object, error: Exception, text: str
) -> None:
    monkeypatch.setattr(detaching, "attach", Mock(side_effect=error))
    with pytest.raises(CommandError) as refused:
        said("month", "attach", "m.zip")
    assert str(refused.value) == text
    monkeypatch.setattr(detaching, "reopen", lambda month: False)
    assert said("month", "reopen", "2026-03") == "2026-03: nothing to undo.\n"


def test_rebuilt_rows_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_rollups, "rebuild", lambda: Rolled(2, 9))
    assert said("rebuild_rollups") == "2 buckets rebuilt, 9 rows written.\n"
    monkeypatch.setattr(rebuild_clickhouse, "rebuild", lambda: 7)
    assert said("rebuild_clickhouse") == "7 records sent.\n"
    monkeypatch.setattr(rebuild_clickhouse, "rebuild", Mock(side_effect=ClickHouseError("away")))
    with pytest.raises(CommandError, match=r"^ClickHouse: away\.$"):
        said("rebuild_clickhouse")


@pytest.mark.parametrize("used", [True, False])
def test_contents_are_counted_only_where_they_are_sent(
    monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    monkeypatch.setattr(sending, "send_all_again", lambda: 7)
    monkeypatch.setattr(contents, "send_all_again", lambda: 3)
    monkeypatch.setattr(contents, "is_used", lambda: used)
    told = "3 entries of the content log sent.\n" if used else ""
    assert said("resend_records") == f"7 records sent.\n{told}"
    monkeypatch.setattr(contents, "send_all_again", Mock(side_effect=SinkError("away")))
    with pytest.raises(CommandError, match=r"^Record sink: away\.$"):
        said("resend_records")


def test_quiet_or_older_version_loads_no_list_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    brought: Any = SimpleNamespace(source="list 9", made=70, proposed=(0, 0, 0))
    load = Mock(return_value=brought)
    monkeypatch.setattr(load_catalogue, "load_shipped_catalogue", load)
    monkeypatch.setattr(load_catalogue, "newer_version", lambda: "")
    assert said("load_catalogue", verbosity=0) == ""
    load.assert_called_once_with(SYSTEM)
    monkeypatch.setattr(load_catalogue, "newer_version", lambda: "It is newer.")
    with pytest.raises(CommandError, match=r"^It is newer\. "):
        said("load_catalogue")
    load.assert_called_once_with(SYSTEM)


@pytest.mark.parametrize("place", ["-", "b.zip", "b.zip in JSON"])
def test_backup_through_a_pipe_is_reported_beside_it(
    monkeypatch: pytest.MonkeyPatch,
    settings: LazySettings,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    """Standard output may be the backup itself; in a log of JSON lines each line is one."""
    made: Any = SimpleNamespace(made_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    written = Written(made, 800, "0a")
    whole = Mock(return_value=written)
    monkeypatch.setattr(backup, "back_up", whole)
    monkeypatch.setattr(backup, "back_up_to", Mock(return_value=written))
    settings.LOG_FORMAT = "json" if place.endswith("JSON") else "text"
    caplog.set_level("INFO", logger=backup.__name__)
    target = place.removesuffix(" in JSON")
    text = said("backup", target)
    name = "standard output" if target == "-" else target
    line = f"{name}: 800 bytes, as of 2026-03-01T00:00:00Z"
    assert (text, [one.getMessage() for one in caplog.records]) == (
        (f"{line}\n", []) if place == "b.zip" else ("", [line])
    )
    assert whole.called is (target != "-")


@pytest.mark.django_db
def test_tampering_is_sought_with_the_own_secrets_and_only_if_asked(
    verified: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def find_none(step: str, *_: object) -> list[str]:
        steps.append(step)
        return []

    monkeypatch.setattr(verify, "compare_secrets", lambda: steps.append("secrets"))
    monkeypatch.setattr(verify, "seal_key", lambda: b"key")
    for name in ("broken_seals", "find_altered"):
        monkeypatch.setattr(verify, name, partial(find_none, name))
    assert "tampered" not in said("verify")
    assert steps == []
    assert said("verify", "--tamper-check").endswith(" hold, nothing was tampered with.\n")
    assert steps == ["secrets", "broken_seals", "find_altered"]
    unfinished = SimpleNamespace(broken={}, unfinished=["I3 took too long"])
    monkeypatch.setattr(verify, "broken_in_all", lambda: unfinished)
    with pytest.raises(CommandError, match="Not everything could be checked: I3 took too long"):
        said("verify")
