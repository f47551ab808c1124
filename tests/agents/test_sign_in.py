"""Claude Code signs in by its gateway protocol: nobody pastes a key."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.code_examples.agents import AGENTS, Connection, Paste
from tests.agents.cell import ALWAYS, TOKENS
from tests.agents.terminal import PROGRAMS
from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import UPSTREAMS
from tests.relay.test_matrix import RATES
from tests.support.hub import Hub

pytestmark = pytest.mark.agents

LIMIT_S = 90.0
# The folder of the computer's administrator is put over /etc for the agent alone.
AS_ADMINISTRATOR = 'mount --bind "$1" /etc && shift && exec "$@"'
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])")
ENTER, UP = "\r", "\x1b[A"
CODE = "[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}"
# What it shows before the code, and the keys that lead on: colours, the hub, whether to trust it.
STEPS = (("textstyle", ENTER), ("Entertoconnect", ENTER), ("No,goback", UP + ENTER))


class Screen:
    """What a program has printed on a terminal, without what moves the cursor."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.text = ""

    def wait_for(self, words: str, seconds: float = LIMIT_S) -> str:
        """Read on until these words were printed, spaces aside. Return all since the last call."""
        ends_at = time.monotonic() + seconds
        while not re.search(words, self.text.replace(" ", "")):
            left = ends_at - time.monotonic()
            assert left > 0, f"no {words!r} in {self.text[-3000:]!r}"
            if select.select([self._end], [], [], left)[0]:
                self.text += ESCAPES.sub(" ", os.read(self._end, 65536).decode(errors="replace"))
        read, self.text = self.text, ""
        return read

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())


class Computer:
    """A person's computer, whose administrator has run the command that writes the file."""

    def __init__(self, place: Path, sign_in: Paste) -> None:
        self.home, self._etc = place / "home", place / "etc"
        self.home.mkdir()
        shutil.copytree("/etc", self._etc, symlinks=True, ignore_dangling_symlinks=True)
        sudo = place / "programs" / "sudo"
        sudo.parent.mkdir()
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        sudo.chmod(0o755)
        self._before = ["unshare", "--mount", "sh", "-c", AS_ADMINISTRATOR, "sh", str(self._etc)]
        self._environment = {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": f"{sudo.parent}:{PROGRAMS}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "BROWSER": "/bin/true",
        }
        self.run("sh", "-c", sign_in.text)

    @contextmanager
    def terminal(self, *words: str) -> Iterator[Screen]:
        """Run a program on a terminal, until the block ends."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [*self._before, *words],
            cwd=self.home,
            env=self._environment,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        try:
            yield Screen(ours)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(ours)

    def run(self, *words: str) -> str:
        """Run a program to its end, and return what it printed."""
        run = subprocess.run(
            [*self._before, *words],
            cwd=self.home,
            env=self._environment | {"TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert run.returncode == 0, run
        return run.stdout


def test_claude_code_signs_in_without_a_key(
    own_hub: Hub, fake: FakeUpstream, tmp_path: Path
) -> None:
    """Its turn is booked on the key that it got, and signing out revokes that key."""
    hub = own_hub
    # It calls only addresses of the hub that it was told.
    hub.environment["PUBLIC_URL"] = hub.url
    hub.start()
    fake.reset()
    fake.script(f"#tokens={TOKENS}", times=ALWAYS)
    tenant = hub.tenant()
    model = hub.model(fake, rates=RATES, **UPSTREAMS["anthropic"])
    person = hub.person(tenant)
    sign_in = AGENTS["claude-code"].sign_in
    assert sign_in is not None
    *_, on_linux = sign_in(Connection(hub.url, "", model))
    computer = Computer(tmp_path, on_linux)
    with computer.terminal("claude") as screen:
        for words, keys in STEPS:
            screen.wait_for(words)
            screen.press(keys)
        screen.wait_for(CODE)
        allow = (
            "UPDATE accounts_devicesignin SET allowed = true, user_id = %s, organisation_id = %s"
        )
        hub.connection.execute(allow, [person, tenant.organisation_id])
        screen.wait_for("No,goback")
        screen.press(UP + ENTER)
        screen.wait_for("ConnectedtoCloudgateway")

    def keys_of_person() -> list[dict[str, Any]]:
        return hub.rows(
            "SELECT id, name, revoked_at FROM accounts_key WHERE user_id = %s AND id <> %s",
            person,
            tenant.key_id,
        )

    [key] = keys_of_person()
    assert (key["name"], key["revoked_at"]) == ("Claude Code", None)
    printed = computer.run("claude", "--print", "Say hello to the otter.")
    assert re.search(rf"a-[0-9a-f]{{8}}-0(?: \S+){{{TOKENS - 1}}}", printed), printed
    hub.settled(tenant)
    booked = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final"
    hub.wait(lambda: bool(hub.rows(booked, tenant.organisation_id)), "nothing is booked", 30)
    for record in hub.rows(booked, tenant.organisation_id):
        assert (record["key_id"], record["client_app"]) == (key["id"], "claude-code")
        assert (record["model"], record["status"]) == (model, 200)
        assert record["charge_nano"] > 0
    computer.run("claude", "auth", "logout")
    assert keys_of_person()[0]["revoked_at"] is not None
    hub.assert_books_balance()
