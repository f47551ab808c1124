"""Coding agents as a person runs them: the lines of *Connect an agent* are pasted where they
belong, and the command at their end gets the words that make it answer one prompt and end.
"""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.code_examples import agents
from gateway.code_examples.agents import Connection
from tests.agents.agents import Agent

PACKAGES: Final = Path(__file__).parent / "npm"
PROGRAMS: Final = PACKAGES / "node_modules" / ".bin"
LIMIT_S: Final = 120.0


@dataclass(frozen=True)
class Run:
    """How a run of an agent ended, and what it printed."""

    status: int
    printed: str
    log: str


class Terminal:
    """A home folder and a work folder in which one agent is connected to the hub."""

    def __init__(self, agent: Agent, at: Connection, place: Path) -> None:
        self.home = place / "home"
        self.work = place / "work"
        self.home.mkdir()
        self.work.mkdir()
        pastes = agents.AGENTS[agent.name].pastes
        assert pastes is not None
        *files, self.commands = pastes(at)
        for paste in files:
            path = self._path(str(paste.place))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(paste.text + "\n")

    def set(self, place: str, members: dict[str, Any]) -> None:
        """Add members to a JSON file that was pasted."""
        path = self._path(place)
        path.write_text(json.dumps(json.loads(path.read_text()) | members))

    def _path(self, place: str) -> Path:
        in_home = place.startswith("~/")
        return self.home / place.removeprefix("~/") if in_home else self.work / place

    def start(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        """Start the agent's command with these words behind it, in a process group of its own."""
        environment = {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "TERM": "dumb",
        }
        return subprocess.Popen(
            ["bash", "-c", f"{self.commands.text} {shlex.join(words)}"],
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, words: Sequence[str]) -> Run:
        """Run the agent to its end."""
        process = self.start(words)
        try:
            return ended(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: "subprocess.Popen[str]") -> Run:
    """Wait until a run has ended."""
    printed, log = process.communicate(timeout=LIMIT_S)
    return Run(process.returncode, printed, log)
