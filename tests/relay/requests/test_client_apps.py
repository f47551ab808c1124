"""The application of a request, by its headers."""

import pytest

from relay.requests.client_apps import APP_LENGTH, client_app
from tests.support import hostile

AGENTS = {
    "OpenAI/Python 1.99.1": "openai-python",
    "AsyncOpenAI/Python 2.0.0": "openai-python",
    "OpenAI/JS 5.1.0": "openai-node",
    "Anthropic/Python 0.60.0": "anthropic-python",
    "AsyncAnthropic/Python 0.60.0": "anthropic-python",
    "google-genai-sdk/1.9.0 gl-python/3.11.4": "google-genai",
    "claude-cli/2.0.1 (external, cli)": "claude-code",
    "codex_cli_rs/0.46.0 (Ubuntu 24.04; x86_64)": "codex",
    "codex_exec/0.169.0 (Debian 12.0.0; x86_64) dumb (codex_exec; 0.169.0)": "codex",
    "codex_vscode/0.169.0 (Mac OS 26.1.0; arm64)": "codex",
    "codex-tui/0.169.0 (Debian 12.0.0; x86_64)": "codex",
    "GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)": "gemini-cli",
    "GeminiCLI/0.40.0/gemini-2.5-pro (linux; x64)": "gemini-cli",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36": "browser",
    "curl/8.5.0": "curl",
    "python-requests/2.32": "python-requests",
    "MyBot": "mybot",
    "": "",
    "   ": "",
    "/1.0": "",
}


@pytest.mark.parametrize(("agent", "app"), AGENTS.items())
def test_application_from_a_user_agent(agent: str, app: str) -> None:
    assert client_app(agent) == app


def test_self_declared_application_name_is_used() -> None:
    agent = "OpenAI/Python 1.0"
    assert client_app(agent, "  My App ", "https://app.example/x") == "My App"
    assert client_app(agent, "", "https://me:pw@App.example:80/x?y=1") == "app.example:80"
    assert client_app(agent, "\x00\x07", "app.example/path") == "app.example"
    assert client_app(agent, "", "https://") == "openai-python"


@pytest.mark.parametrize("text", [hostile.EVERYTHING, hostile.NUL, hostile.LONG])
def test_header_texts_are_shortened_and_printable(text: str) -> None:
    for app in (client_app(text), client_app("", text), client_app("", "", text)):
        assert len(app) <= APP_LENGTH
        assert app.isprintable()
