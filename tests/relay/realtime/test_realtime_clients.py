"""Realtime connections by OpenAI's own clients, unchanged but for their base URL, and by the code
that the reference shows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.code_examples.snippets import Language, SnippetRequest, snippet
from playground.media.realtime_rules import kept_settings, update_payload
from stack.test_programs import javascript
from tests.fakes import listeners
from tests.fakes.realtime import FakeRealtime
from tests.fakes.tls_front import TlsFront
from tests.gateway.code_examples.test_snippets import HARD
from tests.relay.realtime.test_realtime import RATES, records
from tests.relay.test_javascript_clients import run_script
from tests.runner.programs import need, need_javascript_clients
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeRealtime]:
    with FakeRealtime() as provider:
        yield provider


@pytest.fixture(scope="module")
def front(
    hub: Hub, authority: listeners.Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The hub behind TLS, for OpenAI's JavaScript client speaks nothing else."""
    context, _ = listeners.tls_context(tmp_path_factory.mktemp("front"), authority=authority)
    with TlsFront(hub.port, context) as front:
        yield f"https://127.0.0.1:{front.port}"


def test_the_javascript_client(
    hub: Hub,
    provider: FakeRealtime,
    front: str,
    authority: listeners.Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(authority.path))
    model = hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    tenant = hub.tenant()
    models = {"openai": {"realtime": model}}
    seen = run_script(hub, "realtime.mjs", models, url=front, key=tenant.key)["openai"]
    assert seen["session"]["said"] == "w0 w1 w2 w3 "
    assert seen["session"]["usage"] == 4
    assert seen["session"]["kinds"][0] == "session.created"
    assert seen["beta"]["said"] == "w0 w1 "
    assert seen["error"]["event_id"] == "c_4"
    # One session of the three asked nothing.
    used = [row["meters"].get("out_text", 0) for row in records(hub, tenant, 3)]
    assert sorted(used) == [0, 2, 4]


# As the playground has it, with all that its form can say.
CUSTOM = update_payload(
    kept_settings({"output": "text", "instructions": HARD, "voice": "cedar", "turns": "manual"})
)


@pytest.mark.parametrize(
    ("language", "settings"),
    [
        pytest.param("curl", None, marks=pytest.mark.slow),
        pytest.param("python", None, marks=pytest.mark.slow),
        pytest.param("python", CUSTOM, marks=pytest.mark.slow, id="python-custom"),
        pytest.param("javascript", None, marks=pytest.mark.slow),
        pytest.param("javascript", CUSTOM, id="javascript-custom"),
    ],
)
def test_the_code_of_the_reference(
    hub: Hub,
    provider: FakeRealtime,
    front: str,
    authority: listeners.Authority,
    tmp_path: Path,
    language: Language,
    settings: dict[str, Any] | None,
) -> None:
    need_javascript_clients()
    tenant, model = hub.tenant(), hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    call = SnippetRequest("realtime", f"/v1/realtime?model={model}", settings, "GET", model)
    code = snippet(call, language, front if language == "javascript" else hub.url)
    environment = {
        **os.environ, "WEIR_API_KEY": tenant.key, "NODE_EXTRA_CA_CERTS": str(authority.path),
    }  # fmt: skip
    if language == "curl":
        need("curl")
        command, place = ["bash", "-c", code], tmp_path
    elif language == "python":
        command, place = [sys.executable, "-W", "ignore", "-c", code], tmp_path
    else:
        script = javascript.CLIENTS / f"realtime-{os.getpid()}.mjs"
        script.write_text(code)
        command, place = ["node", script.name], javascript.CLIENTS
    try:
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=60)
    finally:
        if language == "javascript":
            script.unlink()
    text = done.stdout.decode(errors="replace")
    assert ("session.created" if language == "curl" else "w0 w1 w2 w3 w4") in text, done.stderr
    if settings is not None:
        events = provider.sessions[-1].received
        message = next(event["session"] for event in events if event["type"] == "session.update")
        assert (message["instructions"], message["audio"]) == (HARD, settings["audio"])
