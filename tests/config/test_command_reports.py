"""What commands report: each count by its own name, what is left out, and errors as errors."""

import datetime as dt
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import SecretCheck
from billing.prices.catalogue.shipped import Brought
from config.management.commands import (
    backup,
    load_catalogue,
    propose_prices,
    restore,
    rotate_secrets,
    verify,
)
from config.system.secret_check import check_secrets
from usage.months import detaching
from usage.months.detaching import MonthState

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
