"""The commands by which Claude Code learns the address of a hub that it signs in to."""

import json
import os
import re
import shlex
import stat
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.code_examples.agents import AGENTS, Connection, Paste, System
from tests.support.golden_texts import GoldenTexts
from tests.support.hub import ROOT

URL = "https://hub.example.com"
FILE = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": URL}


def commands(system: System) -> list[str]:
    sign_in = AGENTS["claude-code"].sign_in
    assert sign_in is not None
    return [paste.text for paste in sign_in(Connection(URL, "", "m", system))]


def pastes(agent: str, at: Connection) -> list[Paste]:
    written = AGENTS[agent].pastes
    assert written is not None
    return written(at)


SHOWN = GoldenTexts(Path(__file__).with_name("agents.txt"))


@pytest.mark.parametrize("name", AGENTS)
def test_each_agent_is_connected_as_a_reader_has_seen_it(name: str) -> None:
    agent, texts = AGENTS[name], dict[str, str]()
    connections = (
        Connection(URL, "sk-weir-1", "m-1"),
        Connection(URL, "it's", "a/'m'", "windows", images=True, limits=(128_000, 4_096)),
    )
    for at in connections:
        for part in ("pastes", "values", "sign_in"):
            write = getattr(agent, part)
            for number, one in enumerate(write(at) if write else ()):
                text = "\n".join(
                    f"{field.name}: {getattr(one, field.name)}" for field in fields(one)
                )
                texts[f"{name}, {part} {number} of {at.system}"] = text
    SHOWN.check(name, texts)


@pytest.mark.parametrize(
    ("number", "folder"), [(0, "/Library/Application Support/ClaudeCode"), (1, "/etc/claude-code")]
)
def test_the_command_writes_a_file_that_everybody_reads(
    tmp_path: Path, number: int, folder: str
) -> None:
    """Whatever the administrator's own umask is. A file that exists is left as it is."""
    sudo, place = tmp_path / "sudo", tmp_path / "the computer" / folder.strip("/")
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    command = commands("unix")[number]
    assert command.count(shlex.quote(folder)) == 1
    command = command.replace(shlex.quote(folder), shlex.quote(str(place)))
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run() -> int:
        return subprocess.run(
            ["sh", "-c", command], env=environment, umask=0o077, stderr=subprocess.DEVNULL
        ).returncode

    assert run() == 0
    file = place / "managed-settings.json"
    assert json.loads(file.read_text()) == FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    file.write_text("{}")
    assert run() != 0
    assert file.read_text() == "{}"


def test_the_command_of_windows_creates_the_same_file() -> None:
    """New-Item refuses to write over a file if it is not told -Force."""
    (command,) = commands("windows")
    folder, rest = command.split("\n", 1)
    path = "C:\\Program Files\\ClaudeCode"
    assert folder == f"New-Item -ItemType Directory -Force -Path '{path}' | Out-Null"
    start, end = (
        f"New-Item -ItemType File -Path '{path}\\managed-settings.json' -Value @'\n",
        "\n'@",
    )
    assert rest.startswith(start)
    assert rest.endswith(end)
    assert json.loads(rest.removeprefix(start).removesuffix(end)) == FILE


def test_the_docs_show_the_commands() -> None:
    text = (ROOT / "docs/guides/agents.md").read_text()
    for command in commands("unix"):
        assert f"```sh\n{command}\n```" in text
    for command in commands("windows"):
        assert f"```powershell\n{command}\n```" in text


def test_the_docs_show_the_files_of_the_other_agents() -> None:
    """In the form of `Connect an agent`, whatever their lines are."""
    text = (ROOT / "docs/guides/agents.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)]
    at = Connection(
        "https://hub.example.org",
        "",
        "gpt-5-mini",
        "unix",
        images=True,
        limits=(400_000, 128_000),
    )
    for name in ("gemini-cli", "opencode"):
        file, _ = pastes(name, at)
        assert json.loads(file.text) in shown
    toml, _ = pastes("codex", at)
    assert f"```toml\n{toml.text}\n```" in text
