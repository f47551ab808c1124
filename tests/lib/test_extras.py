"""A part that is not installed is named with the line that installs it, wherever it is needed."""

import os
import subprocess
import sys
import tomllib

import pytest
from django.core.management import CommandError, call_command
from packaging.requirements import Requirement

from accounts.models import KeyKind
from billing.models import TopUp
from lib import clock, extras
from lib.refusal import Refused
from tests.support import cast
from tests.support.hub import ROOT
from usage.exports import exports


@pytest.fixture
def nothing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in extras.EXTRAS:
        monkeypatch.setitem(extras.EXTRAS, extra, "weir_never_installed.part")


def test_extras_match_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == set(extras.EXTRAS)
    assert all(extras.is_installed(extra) for extra in extras.EXTRAS)
    needed = {Requirement(line).name for line in project["dependencies"]}
    for lines in project["optional-dependencies"].values():
        assert not needed & {Requirement(line).name for line in lines}


@pytest.mark.django_db
@pytest.mark.usefixtures("nothing_extra")
def test_a_list_says_what_parquet_needs(people: cast.Cast) -> None:
    answer = cast.signed_in(people.dora).get("/admin/models?sort=-name&export=parquet", follow=True)
    [(address, status)] = answer.redirect_chain
    assert (status, "export" in address, "sort=-name" in address) == (303, False, True)
    assert "pip install &#x27;weir-hub[parquet]&#x27;" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("nothing_extra")
def test_background_export_is_rejected_immediately(people: cast.Cast) -> None:
    with pytest.raises(Refused, match=r"pip install 'weir-hub\[parquet\]'") as refused:
        exports.start_export(cast.actor(people.alice, people.acme), "parquet", "cols=id", "en")
    assert refused.value.field == "format"


@pytest.mark.django_db
@pytest.mark.usefixtures("nothing_extra")
def test_a_receipt_says_what_pdf_needs(people: cast.Cast) -> None:
    paid = TopUp.objects.create(
        organisation=people.acme, processor="manual", live=True, amount_nano=25 * 10**9,
        state="paid", paid_at=clock.now(), payment_id="SEPA 9",
    )  # fmt: skip
    address = f"/o/acme/billing/top-ups/{paid.outer_id}/receipt"
    page = cast.signed_in(people.alice).get(f"{address}.pdf", follow=True)
    assert page.redirect_chain == [(address, 303)]
    assert "pip install &#x27;weir-hub[pdf]&#x27;" in page.content.decode()
    _, secret = cast.make_key(people.core, "mgmt", user=people.alice, kind=KeyKind.MANAGEMENT)
    answer = cast.with_key(secret).get(f"/api/v1/top-ups/{paid.outer_id}/receipt")
    assert answer.status_code == 422
    assert "pip install 'weir-hub[pdf]'" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("nothing_extra")
def test_an_import_says_what_a_salt_key_needs() -> None:
    with pytest.raises(CommandError, match=r"--salt-key: .*pip install 'weir-hub\[import\]'"):
        call_command("import_from", "litellm", "none.sql", "--salt-key", "env:SALT_KEY")


def test_import_only_packages_are_not_loaded() -> None:
    command = "extensions.import_hubs.management.commands.import_from"
    program = f"import config.asgi, sys, {command}\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}assert 'nacl' not in sys.modules"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "postgresql:///"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_missing_tracing_extra_stops_the_start() -> None:
    program = (
        "from lib import extras\nextras.EXTRAS['otel'] = 'weir_never_installed'\nimport config.asgi"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "otlp", "DATABASE_URL": "postgresql:///"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "pip install 'weir-hub[otel]'" in done.stderr
