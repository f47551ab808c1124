"""Live sessions by the code that the reference shows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.code_examples.snippets import Language, SnippetRequest, snippet
from stack.test_programs import javascript
from tests.fakes.live import FakeLive
from tests.relay.realtime.live.test_live import MINUTE_NANO, RATES, records
from tests.runner.programs import need, need_javascript_clients
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeLive]:
    with FakeLive() as provider:
        yield provider


@pytest.mark.parametrize(
    "language",
    [
        pytest.param("curl", marks=pytest.mark.slow),
        "python",
        pytest.param("javascript", marks=pytest.mark.slow),
    ],
)
def test_the_code_of_the_reference(
    hub: Hub, provider: FakeLive, tmp_path: Path, language: Language
) -> None:
    tenant, model = hub.tenant(), hub.model(provider, rates=RATES, upstream_model="gpt-live-1")
    call = SnippetRequest("live_sessions", "/v1/live/sessions", None, "GET", model)
    code = snippet(call, language, hub.url)
    environment = {**os.environ, "WEIR_API_KEY": tenant.key}
    place = tmp_path
    if language == "curl":
        need("curl")
        command = ["bash", "-c", code]
    elif language == "python":
        command = [sys.executable, "-W", "ignore", "-c", code]
    else:
        need_javascript_clients()
        place = javascript.CLIENTS
        script = place / f"live-{os.getpid()}.mjs"
        script.write_text(code.replace('"speech.pcm"', f'"{tmp_path}/speech.pcm"'))
        command = ["node", script.name]
    (tmp_path / "speech.pcm").write_bytes(bytes(48 * 15_000))
    try:
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=60)
    finally:
        if language == "javascript":
            script.unlink()
    if language == "curl":
        assert b"101 Switching Protocols" in done.stdout, done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == "well heard"
    (record,) = records(hub, tenant, 1)
    assert record["charge_nano"] == MINUTE_NANO // 4
