"""What the environment may say: each combination that would be unsafe ends the start with its
cause."""

import runpy
from pathlib import Path
from typing import Any, Final

import pytest

from lib import extras
from lib.env import ConfigurationError

SETTINGS: Final = Path(__file__).parents[2] / "config" / "settings.py"
STRIPE: Final = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}


def read(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> dict[str, Any]:
    """The settings of a process that is started with these variables."""
    for name in STRIPE:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"DATA_DIR": str(folder)} | variables).items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(SETTINGS))


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        # Without the second, whoever knows our address could say that somebody has paid.
        ({"STRIPE_SECRET_KEY": "sk_test_1"}, "belong together"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_1"}, "belong together"),
        ({"SECRET_KEY": "the-same-secret", "WEIR_KEK": "the-same-secret"}, "Make two secrets"),
        ({"SECRET_KEY": "shared", "WEIR_KEK": "new,shared"}, "Make two secrets"),
        ({"TASK_RESULT_DAYS": "0"}, "between 1 and 365"),
        ({"TASK_RESULT_DAYS": "366"}, "between 1 and 365"),
        ({"AUDIT_RETENTION_DAYS": "-1"}, "0 or more"),
        ({"BACKUP_EVERY_HOURS": "-1"}, "0 or more"),
        ({"BACKUP_KEEP_DAYS": "-1"}, "0 or more"),
        ({"METRICS_ALLOW": "nearby"}, "METRICS_ALLOW"),
        ({"SSO_EGRESS_ALLOW": "10.0.0.1/8"}, "SSO_EGRESS_ALLOW: .*host bits"),
        ({"WEBHOOK_EGRESS_ALLOW": "10.0.0.0/8 fd00::/8"}, "WEBHOOK_EGRESS_ALLOW"),
        ({"LOG_FORMAT": "xml"}, "text or json"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_invalid_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text) as error:
        read(monkeypatch, tmp_path, **variables)
    # Nothing of a secret's value is in what is printed.
    assert not any(word in str(error.value) for word in ("sk_test_1", "whsec_1"))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        STRIPE,
        {"SECRET_KEY": "one", "WEIR_KEK": "new,former"},
        {"TASK_RESULT_DAYS": "1"},
        {"TASK_RESULT_DAYS": "365"},
        {"AUDIT_RETENTION_DAYS": "0"},
    ],
    ids="-".join,
)
def test_valid_setting_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    settings = read(monkeypatch, tmp_path, **variables)
    assert {name: str(settings[name]) for name in variables} == variables


@pytest.mark.parametrize(
    "name",
    [
        "ALLOWED_HOSTS", "CLOUD_TOKEN_FILES", "METRICS_ALLOW", "SSO_EGRESS_ALLOW",
        "TRACE_CHANNELS", "WEBHOOK_EGRESS_ALLOW",
    ],
)  # fmt: skip
def test_blank_beside_a_comma_is_no_part_of_a_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    settings = read(monkeypatch, tmp_path, **{name: " 10.0.0.0/8, fd00::/8 ,"})
    assert [str(one) for one in settings[name]] == ["10.0.0.0/8", "fd00::/8"]


def test_content_store_needs_its_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda extra: False)
    assert read(monkeypatch, tmp_path)["CONTENT_STORE"] == ""
    with pytest.raises(ConfigurationError, match=r"pip install 'weir-hub\[objects\]'"):
        read(monkeypatch, tmp_path, CONTENT_STORE="s3://bucket/texts")


def test_missing_payment_secret_believes_no_event(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The pair may stand in the installation's files as well."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "STRIPE_SECRET_KEY").write_text("sk_test_1\n")
    with pytest.raises(ConfigurationError, match="belong together"):
        read(monkeypatch, tmp_path)
