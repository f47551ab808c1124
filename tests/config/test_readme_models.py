"""The README names models that its readers can use: in the shipped catalogue, not about to end."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.providers.lifecycle import shutdown_date
from tests.support.shipped import shipped_rows

README: Final = Path("README.md").read_text()
CATALOGUE: Final = {row.model for row in shipped_rows()}
# Served by the installation itself, and the operator's own.
OWN: Final = {"smollm2-135m", "own-model"}


def channels() -> list[dict[str, Any]]:
    files = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    return [channel for file in files for channel in file.get("channels", ())]


def test_example_file_models_are_current_in_the_catalogue() -> None:
    asked = [
        (channel["provider"], (inputs or {}).get("upstream", name))
        for channel in channels()
        for name, inputs in channel["models"].items()
    ]
    assert asked
    for provider, model in asked:
        if model not in OWN:
            assert any(fnmatchcase(known, model) for known in CATALOGUE), model
            assert shutdown_date(provider, model) is None, model


def test_request_models_exist_in_a_new_installation() -> None:
    named = set(re.findall(r"model[\"']?\s*[:=]\s*[\"']([\w.-]+)[\"']", README))
    assert named == {"smollm2-135m"}
