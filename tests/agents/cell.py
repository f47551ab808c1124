"""One agent at one model: what it is asked, and what the provider and the books say of it."""

import json
import os
import re
import secrets
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.code_examples.agents import Connection
from lib.ids import id_text
from tests.agents.agents import Agent, Call
from tests.agents.terminal import Run, Terminal, ended
from tests.fakes.answer import compact
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import BOOKED, UPSTREAMS
from tests.relay.test_matrix import IN, OUT, RATES
from tests.support.hub import Hub

TOKENS = 6
HELD_AT = 3
ALWAYS = 10_000
# What opencode is told that the models have.
CONTEXT, OUTPUT = 250_000, 32_000
# What the provider says of a request, and the books. Gemini counts in each part of a stream.
ENDINGS = {
    ("finished", 200, "measured"),
    ("cut", 499, "estimated"),
    ("cut", 499, "drained"),
}
# Compatible servers take the one, and OpenAI the other, as Codex sends it to OpenAI itself.
FORWARDED = {"top_k", "client_metadata"}


@dataclass
class Cell:
    """An agent, connected with a key of its own to a model of its own."""

    hub: Hub
    fake: FakeUpstream
    agent: Agent
    upstream: str
    place: Path

    def __post_init__(self) -> None:
        self.fake.reset()
        self.tenant = self.hub.tenant()
        self.model = self.hub.model(self.fake, rates=RATES, **UPSTREAMS[self.upstream])
        at = Connection(
            self.hub.url, self.tenant.key, self.model, images=True, limits=(CONTEXT, OUTPUT)
        )
        self.terminal = Terminal(self.agent, at, self.place)

    def say(self, *calls: Call, directives: str = "") -> None:
        """What the provider does: in the next turn it calls these tools or follows directives, then
        it answers each request in a few words."""
        answer = f"#tokens={TOKENS}"
        # A directive ends at white space.
        called = compact(calls).decode().replace(" ", "\\u0020")
        self.fake.forget_scripts()
        self.fake.script(f"#call={called}" if calls else f"{answer} {directives}", with_tools=True)
        self.fake.script(answer, times=ALWAYS)

    def note(self, name: str) -> str:
        """Put a file in the work folder; return the word in it."""
        word = f"otter-{secrets.token_hex(4)}"
        (self.terminal.work / name).write_text(f"The word is {word} .\n")
        return word

    def ask(self, *prompt: str) -> Run:
        """Run the agent with a prompt, which it has to answer without a complaint."""
        return self._run([*self.agent.ask, *prompt])

    def interrupt(self, prompt: str) -> None:
        """Press Ctrl-C when the agent has a part of the answer to a prompt; wait for its end."""
        process = self.terminal.start([*self.agent.ask, prompt])
        self.fake.wait_for(lambda _: any(map(is_held, self.fake.books())), seconds=60)
        os.killpg(process.pid, signal.SIGINT)
        try:
            ended(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def resume(self, prompt: str) -> Run:
        """Go on with the session of the last run."""
        return self._run([*self.agent.resume, prompt])

    def _run(self, words: list[str]) -> Run:
        run = self.terminal.run(words)
        assert run.status == 0, (run, self.hub.log()[-2000:])
        return run

    def turns(self) -> list[dict[str, Any]]:
        """What the provider took in and answered. The books say the same, to the token and to the
        nano, and know which agent it was."""
        self.hub.settled(self.tenant)
        rows = [row for row in self.fake.books() if not row["free"]]
        wanted = {row["client_request_id"]: row for row in rows}

        def recorded() -> list[dict[str, Any]]:
            return self.hub.rows(
                "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final",
                self.tenant.organisation_id,
            )

        self.hub.wait(lambda: len(recorded()) >= len(rows), "records are missing", 30)
        records = {id_text(record["id"]): record for record in recorded()}
        others = [record for name, record in records.items() if name not in wanted]
        assert others == [], [(one["model"], one["kind"], one["message"]) for one in others]
        for name, record in records.items():
            self._judge(wanted[name], record)
        return rows

    def _judge(self, row: dict[str, Any], record: dict[str, Any]) -> None:
        spoken = row["dialect"], set(row["unknown"]) - FORWARDED
        assert spoken == (BOOKED[self.upstream], set()), spoken
        usage, meters = row["usage"], record["meters"]
        sums = {
            side: sum(count for name, count in meters.items() if name.startswith(side))
            for side in ("in_", "out_")
        }
        ending = row["outcome"], record["status"], record["basis"]
        assert ending in ENDINGS, ending
        if row["outcome"] == "finished":
            assert sums == {"in_": usage["prompt_tokens"], "out_": usage["completion_tokens"]}
        charge = sums["in_"] * IN + sums["out_"] * OUT
        assert record["charge_nano"] == min(charge, record["hold_nano"]) > 0
        named = record["dialect"], record["client_app"]
        assert named == (self.agent.dialect, self.agent.app), named
        assert record["key_id"] == self.tenant.key_id


def has_tools(row: dict[str, Any]) -> bool:
    """Whether a request is a turn of the agent, and none of its side requests."""
    body = json.loads(row["body"])
    return bool(body.get("tools") or body.get("toolConfig", {}).get("tools"))  # Converse has these


def is_compaction(row: dict[str, Any]) -> bool:
    """Whether a request asks for what is to stand for the history from then on."""
    return bool(re.search("summar|snapshot", row["heard"][-1]))


def is_held(row: dict[str, Any]) -> bool:
    return has_tools(row) and not row["final"] and row["emitted"] >= HELD_AT


def answers(row: dict[str, Any]) -> set[str]:
    """What the fake may have answered: it does not say how many parts its last user turn had."""
    parts = [line.removeprefix("user: ") for line in row["heard"] if line.startswith("user: ")]
    return {expected_text("a", " ".join(parts[start:]), TOKENS) for start in range(len(parts))}


def printed_answer(run: Run) -> str:
    """The answer of the fake that an agent printed."""
    found = re.search(rf"a-[0-9a-f]{{8}}-0(?: \S+){{{TOKENS - 1}}}", run.printed)
    assert found is not None, run
    return found[0]
