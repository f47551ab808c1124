"""What a database was made with is written down once; worker, beat and `apply` end with another."""

import base64
from io import StringIO
from pathlib import Path

import pytest
from celery.signals import beat_init, worker_init
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from accounts.access.actors import SYSTEM
from accounts.models import SecretCheck
from config import celery
from config.system.secret_check import check_secrets
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from lib.env import ConfigurationError
from lib.vault import VaultError

pytestmark = pytest.mark.django_db
OTHER = base64.b64encode(bytes(range(32))).decode()


def test_first_process_records_the_reference_for_others(
    settings: LazySettings,
) -> None:
    for _ in range(2):
        check_secrets()
    assert SecretCheck.objects.count() == 1
    settings.WEIR_KEY_PEPPER = "other"
    with pytest.raises(VaultError, match="WEIR_KEY_PEPPER is not the one"):
        check_secrets()


def test_older_database_is_checked_by_its_channels(settings: LazySettings) -> None:
    create_channel(
        SYSTEM, "c", ChannelFields(provider="openai", base_url="", keys=["sk-1"], models={"m": ""})
    )
    settings.WEIR_KEK = OTHER
    with pytest.raises(VaultError, match="WEIR_KEK cannot decrypt any"):
        check_secrets()
    assert not SecretCheck.objects.exists()


def test_one_unreadable_key_does_not_stop_an_older_database() -> None:
    """Its channel is what is broken; with another WEIR_KEK none of them would open."""
    fields = ChannelFields(provider="openai", base_url="", keys=["sk-1", "sk-2"], models={"m": ""})
    channel = create_channel(SYSTEM, "c", fields)
    channel.keys.filter(position=0).update(sealed=b"damaged")
    check_secrets()
    assert SecretCheck.objects.count() == 1


# Celery closes the connections of a worker that begins.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", [worker_init, beat_init])
@pytest.mark.parametrize(
    ("name", "value"), [("WEIR_KEK", OTHER), ("WEIR_KEY_PEPPER", "x"), ("SECRET_KEY_GIVEN", None)]
)
def test_worker_and_beat_do_not_start(
    settings: LazySettings, signal: object, name: str, value: str | None
) -> None:
    check_secrets()
    setattr(settings, name, value)
    assert celery.app
    with pytest.raises(SystemExit, match=name.removesuffix("_GIVEN")):
        signal.send(sender=None)  # type: ignore[attr-defined]


def test_apply_seals_nothing_with_another_secret(settings: LazySettings, tmp_path: Path) -> None:
    check_secrets()
    settings.WEIR_KEK = OTHER
    file = tmp_path / "f.yaml"
    file.write_text("version: 1\n")
    with pytest.raises(CommandError, match="WEIR_KEK is not the one"):
        call_command("apply", str(file), stdout=StringIO())


def test_invalid_secret_is_reported(settings: LazySettings) -> None:
    settings.WEIR_KEK = None
    with pytest.raises(ConfigurationError, match="WEIR_KEK is not set"):
        check_secrets()
