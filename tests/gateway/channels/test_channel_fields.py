"""A setting of a channel is written once: it is in the API, in files, on the page and in the trail
without being named there."""

from dataclasses import fields

import pytest
from pydantic import BaseModel

from config.apply import file_format
from gateway.channel_setup.edit_forms import SettingsForm
from gateway.channels.fields import SETTINGS
from gateway.channels.schemas import ChannelIn, ChannelOut, ChannelPatch
from gateway.models import Channel
from relay.catalogue.snapshot_build import ChannelRow

COLUMNS = {field.name for field in Channel._meta.concrete_fields}


def test_each_setting_is_a_column() -> None:
    assert set(SETTINGS) <= COLUMNS


@pytest.mark.parametrize("kind", [ChannelIn, ChannelPatch, ChannelOut, file_format.Channel])
def test_each_setting_is_in_the_api_and_in_files(kind: type[BaseModel]) -> None:
    assert set(SETTINGS) <= set(kind.model_fields)


def test_each_setting_with_a_label_is_in_the_form() -> None:
    labelled = {name for name, setting in SETTINGS.items() if setting.words.label}
    assert "zero_retention" in labelled <= set(SettingsForm.base_fields)


def test_snapshot_reads_existing_columns() -> None:
    assert {field.name for field in fields(ChannelRow)} - {"keys", "routes"} <= COLUMNS
