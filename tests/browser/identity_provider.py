"""An identity provider that is not ours: oidc-provider on Node.js, in a process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stack.test_programs import javascript
from tests.runner.programs import need_javascript_clients

CLIENT, SECRET = "weir", "a client secret of the walk"


class RealProvider:
    """Its client, the people it knows, and how far ahead its clock is, as a test sets them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{self._read_line()}"

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _send(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        assert self._read_line() == "done"

    def serve(self, callback_url: str) -> None:
        """Know one client, which is led back there."""
        client = {"client_id": CLIENT, "client_secret": SECRET, "redirect_uris": [callback_url]}
        self._send(client=client)

    def know(self, id: str, **claims: Any) -> None:
        """Somebody who signs in by that name, with any password."""
        self._send(person={"id": id, "claims": claims})

    def go_ahead(self, seconds: int) -> None:
        """Let its clock be that much ahead: what it has given expires."""
        self._send(ahead_s=seconds)


@contextmanager
def real_provider() -> Iterator[RealProvider]:
    need_javascript_clients()
    process = subprocess.Popen(
        ["node", "identity_provider.mjs"],
        cwd=javascript.CLIENTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield RealProvider(process)
    finally:
        process.kill()
        process.communicate()
