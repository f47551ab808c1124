"""The table of the cells that passed, in docs/guides/agents.md, where a whole run leaves it."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Final

from gateway.code_examples import agents
from tests.agents.agents import AGENTS
from tests.agents.terminal import PACKAGES
from tests.relay.speakers import UPSTREAMS

PAGE: Final = Path(__file__).parents[2] / "docs/guides/agents.md"
BEGIN, END = "<!-- cells -->\n", "<!-- /cells -->\n"
PUBLISHED: Final = {
    "claude-code": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini-cli": "@google/gemini-cli",
    "opencode": "opencode-ai",
}
Cells = dict[tuple[str, str, str], bool]  # scenario, agent, upstream


def write(cells: Cells) -> None:
    """Write the table if every agent was tried at every model in each scenario that was tried."""
    scenarios = list(dict.fromkeys(scenario for scenario, _, _ in cells))
    if len(scenarios) < 7 or len(cells) < len(scenarios) * len(AGENTS) * len(UPSTREAMS):
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table(cells)}{END}{after}")


def table(cells: Cells) -> str:
    """Return how many models of each wire format each agent passed a scenario at."""
    passed: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for (scenario, agent, _), well in cells.items():
        passed[scenario, agent].append(well)
    lines = [
        f"| | {' | '.join(f'{agents.AGENTS[name].name} {version(name)}' for name in AGENTS)} |",
        f"| --- |{' --- |' * len(AGENTS)}",
    ]
    for scenario in dict.fromkeys(scenario for scenario, _ in passed):
        counts = (passed[scenario, agent] for agent in AGENTS)
        row = " | ".join(f"{sum(count)} of {len(count)}" for count in counts)
        lines.append(f"| {scenario} | {row} |")
    return "\n".join(lines) + "\n"


def version(agent: str) -> str:
    """The version of an agent that is installed."""
    package = PACKAGES / "node_modules" / PUBLISHED[agent] / "package.json"
    published: str = json.loads(package.read_text())["version"]
    return published
