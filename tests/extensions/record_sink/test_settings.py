"""What the environment may say of the record sink."""

import base64
import runpy
from typing import Final

import pytest

from lib import extras
from lib.env import ConfigurationError
from tests.fakes.record_receiver import SECRET
from tests.support.extensions import ROOT

FILE: Final = f"{ROOT}/extensions/record_sink/settings.py"
WRONG: Final = (
    "ftp://sink.example/usage",
    "https://user:secret@sink.example/usage",
    "https:///usage",
    "s3://",
    "file://",
    "https://sink.example/usage#part",
)
RIGHT: Final = (
    "",
    "https://sink.example/usage?table=weir",
    "http://vector:8080/",
    "s3://bucket/usage",
    "gs://bucket",
    "az://container/usage",
    "file:///srv/usage",
)


@pytest.mark.parametrize("url", WRONG)
def test_invalid_address_is_rejected(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RECORD_SINK_URL", url)
    with pytest.raises(ConfigurationError, match="RECORD_SINK_URL must be") as error:
        runpy.run_path(FILE)
    assert "user:secret" not in str(error.value)


@pytest.mark.parametrize("url", RIGHT)
def test_valid_address_is_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RECORD_SINK_URL", url)
    assert runpy.run_path(FILE)["RECORD_SINK_URL"] == url


@pytest.mark.parametrize(
    "secret",
    ["secret", "whsec_", "whsec_+", f"whsec_{base64.b64encode(b'short').decode()}"],
)
def test_invalid_secret_is_rejected(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("RECORD_SINK_SECRET", secret)
    with pytest.raises(ConfigurationError, match="RECORD_SINK_SECRET must be"):
        runpy.run_path(FILE)
    monkeypatch.setenv("RECORD_SINK_SECRET", SECRET)
    assert runpy.run_path(FILE)["RECORD_SINK_SECRET"] == SECRET


def test_store_needs_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda extra: False)
    monkeypatch.setenv("RECORD_SINK_URL", "s3://bucket/usage")
    with pytest.raises(ConfigurationError, match=r"pip install 'weir-hub\[objects\]'"):
        runpy.run_path(FILE)


def test_contents_need_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runpy.run_path(FILE)["RECORD_SINK_CONTENT"] is False
    monkeypatch.setenv("RECORD_SINK_CONTENT", "1")
    with pytest.raises(ConfigurationError, match="RECORD_SINK_CONTENT needs RECORD_SINK_URL"):
        runpy.run_path(FILE)
    monkeypatch.setenv("RECORD_SINK_URL", "https://sink.example/usage")
    assert runpy.run_path(FILE)["RECORD_SINK_CONTENT"] is True
