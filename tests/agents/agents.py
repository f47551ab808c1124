"""The words by which each coding agent answers one prompt and ends, and its tool to read a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Agent:
    """An agent without its windows. `name` is that in `gateway.code_examples.agents`, `app` that in
    usage records, `dialect` the API that it speaks. A prompt follows `ask` or `resume`; `look` is a
    prompt about a picture in the work folder, and what follows it. An agent that does not shorten a
    session by itself at 250,000 tokens does so at the prompt `compact`, or early with a
    member of its settings, a JSON file in the home folder."""

    name: str
    app: str
    dialect: str
    ask: Sequence[str]
    resume: Sequence[str]
    look: Sequence[str]
    read: Callable[[Path], Call]
    compact: str = ""
    settings: tuple[str, dict[str, Any]] | None = None


AGENTS: Final = {
    agent.name: agent
    for agent in (
        Agent(
            name="claude-code",
            app="claude-code",
            dialect="anthropic",
            ask=["--print", "--allowedTools=Read"],
            resume=["--print", "--allowedTools=Read", "--continue"],
            look=["What is in @picture.png?"],
            read=lambda path: ("Read", {"file_path": str(path)}),
            compact="/compact",
        ),
        Agent(
            name="codex",
            app="codex",
            dialect="responses",
            # Its sandbox needs rights that a container has not.
            ask=["exec", "--skip-git-repo-check", "--sandbox=danger-full-access"],
            resume=["exec", "resume", "--last", "--skip-git-repo-check"],
            look=["What is in the picture?", "--image", "picture.png"],
            read=lambda path: ("exec_command", {"cmd": f"cat {path}"}),
        ),
        Agent(
            name="gemini-cli",
            app="gemini-cli",
            dialect="gemini",
            ask=["--skip-trust", "--prompt"],
            resume=["--skip-trust", "--resume=latest", "--prompt"],
            look=["What is in @picture.png?"],
            read=lambda path: ("read_file", {"file_path": str(path)}),
            # Without its window it goes on and ends before /compress has shortened the session.
            settings=("~/.gemini/settings.json", {"model": {"compressionThreshold": 0.01}}),
        ),
        Agent(
            name="opencode",
            app="opencode",
            dialect="openai",
            ask=["run"],
            resume=["run", "--continue"],
            look=["What is in the picture?", "--file", "picture.png"],
            read=lambda path: ("read", {"filePath": str(path)}),
        ),
    )
}
