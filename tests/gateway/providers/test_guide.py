"""The guide's example is a provider that works, so that the guide stays true."""

import json
import re
from pathlib import Path
from typing import Any

from gateway.providers import PROVIDERS
from gateway.providers.provider import Provider
from tests.gateway.providers.asking import CASES, outgoing

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/adding-a-provider.md").read_text()


def block(language: str) -> str:
    (result,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(result)


def acme() -> Provider:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    provider = names["PROVIDER"]
    assert isinstance(provider, Provider)
    return provider


def test_the_example_sends_what_the_guide_says() -> None:
    golden = json.loads(block("json"))
    assert outgoing(acme(), "plain", **golden["model"]) == golden["request"]


def test_the_example_speaks_its_second_dialect() -> None:
    provider = acme()
    assert provider.headers("KEY", "anthropic")["x-api-key"] == "KEY"
    assert provider.url("messages", "https://own.example") == "https://own.example/llm/v2/messages"


def test_names_in_the_guide_exist() -> None:
    for path in re.findall(r"`((?:gateway|tests)/[a-z_/.]+?)/?`", GUIDE):
        if "acme" not in path:
            assert (ROOT / path).exists(), path
    for case in CASES:
        assert f"`{case}.json`" in GUIDE


def test_the_page_on_channels_lists_every_provider() -> None:
    page = (ROOT / "docs/guides/channels.md").read_text()
    table = page.partition("## Providers")[2].partition("\n##")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) - {"provider"} == set(PROVIDERS)
    assert f"{len(PROVIDERS)} kinds of providers" in (ROOT / "CHANGELOG.md").read_text()
