"""What the environment may say of ClickHouse."""

import os
import runpy
import subprocess
import sys
from typing import Final

import pytest

from lib.env import ConfigurationError
from tests.support.extensions import ROOT, SETTINGS

FILE: Final = f"{ROOT}/extensions/clickhouse/settings.py"
WRONG: Final = (
    "ftp://clickhouse:8123",
    "http://user:secret@clickhouse:8123",
    "http://clickhouse:8123/?database=x",
    "http://clickhouse:8123/path",
)


@pytest.mark.parametrize("url", WRONG)
def test_invalid_address_is_rejected(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CLICKHOUSE_URL", url)
    with pytest.raises(ConfigurationError, match="CLICKHOUSE_USER") as error:
        runpy.run_path(FILE)
    assert "user:secret" not in str(error.value)


def test_valid_address_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_URL", "https://clickhouse:8443/")
    settings = runpy.run_path(FILE)
    assert settings["CLICKHOUSE_URL"] == "https://clickhouse:8443"
    assert settings["CLICKHOUSE_DATABASE"] == settings["CLICKHOUSE_USER"] == "default"


def test_wrong_address_stops_the_start() -> None:
    """It must not look like an installation without ClickHouse."""
    done = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, "CLICKHOUSE_URL": WRONG[0]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "ConfigurationError: CLICKHOUSE_URL must be" in done.stderr.splitlines()[-1]
