"""Gemini Live sessions by the code that the reference shows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.code_examples.snippets import Language, SnippetRequest, snippet
from stack.test_programs import javascript
from tests.fakes.listeners import Authority
from tests.relay.realtime.gemini_live.live_clients import Door
from tests.relay.realtime.gemini_live.test_live import door, model, provider
from tests.relay.realtime.test_realtime import records
from tests.runner.programs import need, need_javascript_clients
from tests.support.hub import Hub

__all__ = ["door", "model", "provider"]

pytestmark = pytest.mark.usefixtures("balanced_books")
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    "language",
    [
        pytest.param("curl", marks=pytest.mark.slow),
        "python",
        pytest.param("javascript", marks=pytest.mark.slow),
    ],
)
def test_the_code_of_the_reference(
    hub: Hub, door: Door, authority: Authority, model: str, tmp_path: Path, language: Language
) -> None:
    tenant = hub.tenant()
    call = SnippetRequest("live_session", PATH, None, "GET", model)
    # Google's client always uses TLS.
    code = snippet(call, language, door.url if language == "python" else hub.url)
    environment = os.environ | {
        "WEIR_API_KEY": tenant.key,
        "SSL_CERT_FILE": str(authority.path),
    }
    place = tmp_path
    if language == "curl":
        need("curl")
        command = ["bash", "-c", code]
    elif language == "python":
        command = [sys.executable, "-W", "ignore", "-c", code]
    else:
        need_javascript_clients()
        place = javascript.CLIENTS
        script = place / f"gemini-live-{os.getpid()}.mjs"
        script.write_text(code)
        command = ["node", script.name]
    try:
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=60)
    finally:
        if language == "javascript":
            script.unlink()
    if language == "curl":
        assert b"101 Switching Protocols" in done.stdout, done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == "w0 w1 w2 w3 w4 "
    (record,) = records(hub, tenant, 1)
    assert record["meters"]["out_audio"] == 5
