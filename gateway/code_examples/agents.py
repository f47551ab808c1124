"""Instructions that connect a coding agent or a chat application to the hub: the lines to paste,
for a system, a model and a key. They follow each agent's own documentation."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.code_examples.literals import literal, text_literal
from gateway.code_examples.snippets import KEY_NAME, quote_word

System = Literal["unix", "windows"]
SYSTEM_NAMES: Final[Mapping[System, str | Promise]] = {
    "unix": _("macOS or Linux"),
    "windows": "Windows",
}


@dataclass(frozen=True)
class Paste:
    """Lines to paste into one place. `place` is the file or window, `language` the language of the
    lines."""

    place: str | Promise
    language: str
    text: str


@dataclass(frozen=True)
class Value:
    """A field of an application's settings."""

    field: str
    text: str


@dataclass(frozen=True)
class Connection:
    """The values with which an agent connects. `url` has no path; `key` is the text of a key, or a
    placeholder. `images` says whether the model reads pictures. `limits` are its context window and
    its maximum output, in tokens, if both are known."""

    url: str
    key: str
    model: str
    system: System = "unix"
    images: bool = False
    limits: tuple[int, int] | None = None

    @property
    def base_url(self) -> str:
        """The base URL of OpenAI's form."""
        return f"{self.url}/v1"


@dataclass(frozen=True)
class Agent:
    """A client that can be connected, by lines to paste or by values for its settings `window`. The
    requests of a `public` client come from its vendor's servers, which must be able to reach the
    hub. `sign_in` are lines for signing in by a browser, without a key to paste. `tools` says
    whether it sends tools with each request, so that a model without tools refuses it."""

    name: str
    pastes: Callable[[Connection], list[Paste]] | None = None
    values: Callable[[Connection], list[Value]] | None = None
    window: str = ""
    public: bool = False
    tools: bool = True
    sign_in: Callable[[Connection], list[Paste]] | None = None


_TERMINAL: Final = _("Terminal")
_MANAGED_SETTINGS: Final = "managed-settings.json"


def _shell(at: Connection, variables: Mapping[str, str], command: str) -> Paste:
    """Return lines for a terminal: variables, then the command."""
    if at.system == "windows":
        lines = [f"$env:{name} = {_quote_powershell(value)}" for name, value in variables.items()]
        return Paste(_("PowerShell"), "powershell", "\n".join([*lines, command]))
    lines = [f"export {name}={quote_word(value)}" for name, value in variables.items()]
    return Paste(_TERMINAL, "bash", "\n".join([*lines, command]))


def _argument(at: Connection, text: str) -> str:
    return _quote_powershell(text) if at.system == "windows" else quote_word(text)


def _quote_powershell(text: str) -> str:
    """Quote one word for PowerShell, which treats each of these characters as a single quote."""
    return "'" + re.sub("['‘’‚‛]", r"\g<0>\g<0>", text) + "'"


def _in_home(at: Connection, path: str) -> str:
    if at.system == "windows":
        return "%USERPROFILE%\\" + path.replace("/", "\\")
    return f"~/{path}"


def _claude_code(at: Connection) -> list[Paste]:
    variables = {
        "ANTHROPIC_BASE_URL": at.url,
        "ANTHROPIC_AUTH_TOKEN": at.key,
        "ANTHROPIC_MODEL": at.model,
        # The small model, used for example to name sessions.
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": at.model,
    }
    return [_shell(at, variables, "claude")]


def _claude_code_sign_in(at: Connection) -> list[Paste]:
    """Return the commands that write the file of the computer's administrator. Claude Code reads
    the address of a hub that it signs in to from no other. They leave a file that exists."""
    settings = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": at.url}
    text = json.dumps(settings, indent=2)
    if at.system == "windows":
        folder = r"C:\Program Files\ClaudeCode"
        lines = (
            f"New-Item -ItemType Directory -Force -Path '{folder}' | Out-Null",
            f"New-Item -ItemType File -Path '{folder}\\{_MANAGED_SETTINGS}' -Value @'",
            text,
            "'@",
        )
        return [Paste(_("PowerShell, as administrator"), "powershell", "\n".join(lines))]
    folders = {
        _("Terminal on macOS"): "/Library/Application Support/ClaudeCode",
        _("Terminal on Linux"): "/etc/claude-code",
    }
    # `set -C` refuses to write over a file; every person of the computer must be able to read it.
    write = f'umask 022; mkdir -p "$0"; set -C; cat > "$0/{_MANAGED_SETTINGS}"'
    return [
        Paste(place, "bash", f"sudo sh -c '{write}' {quote_word(folder)} <<'END'\n{text}\nEND")
        for place, folder in folders.items()
    ]


def _codex(at: Connection) -> list[Paste]:
    toml = "\n".join(
        (
            f"model = {text_literal(at.model, 'json')}",
            'model_provider = "weir"',
            "",
            "[model_providers.weir]",
            'name = "Weir"',
            f"base_url = {text_literal(at.base_url, 'json')}",
            f'env_key = "{KEY_NAME}"',
            'wire_api = "responses"',
            "supports_websockets = true",
        )
    )
    return [
        Paste(_in_home(at, ".codex/config.toml"), "toml", toml),
        _shell(at, {KEY_NAME: at.key}, "codex"),
    ]


def _gemini_cli(at: Connection) -> list[Paste]:
    settings = {
        # With only a base URL, Gemini CLI asks for a sign-in method that it then refuses.
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        # Without a known model name, Gemini CLI uses one of Google's models to compress
        # conversations.
        "modelConfigs": {
            "customAliases": {"chat-compression-default": {"modelConfig": {"model": at.model}}}
        },
    }
    variables = {"GOOGLE_GEMINI_BASE_URL": at.url, "GEMINI_API_KEY": at.key}
    return [
        Paste(_in_home(at, ".gemini/settings.json"), "json", literal(settings, "json")),
        _shell(at, variables, f"gemini --model {_argument(at, at.model)}"),
    ]


def _opencode(at: Connection) -> list[Paste]:
    settings = {
        "provider": {
            "weir": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Weir",
                "options": {"baseURL": at.base_url, "apiKey": f"{{env:{KEY_NAME}}}"},
                "models": {at.model: _opencode_model(at)},
            }
        },
        "model": f"weir/{at.model}",
    }
    return [
        Paste("opencode.json", "json", literal(settings, "json")),
        _shell(at, {KEY_NAME: at.key}, "opencode"),
    ]


def _opencode_model(at: Connection) -> dict[str, Any]:
    """Return what opencode must know about an unknown model. Otherwise it sends no pictures and
    never compresses a conversation."""
    model: dict[str, Any] = {"name": at.model}
    if at.images:
        modalities = {"input": ["text", "image"], "output": ["text"]}
        model |= {"attachment": True, "modalities": modalities}
    if at.limits:
        context, output = at.limits
        model["limit"] = {"context": context, "output": output}
    return model


def _aider(at: Connection) -> list[Paste]:
    variables = {"OPENAI_API_BASE": at.base_url, "OPENAI_API_KEY": at.key}
    return [_shell(at, variables, f"aider --model {_argument(at, f'openai/{at.model}')}")]


def _librechat(at: Connection) -> list[Paste]:
    lines = (
        "version: 1.2.1",
        "endpoints:",
        "  custom:",
        "    - name: Weir",
        f'      apiKey: "${{{KEY_NAME}}}"',
        f"      baseURL: {text_literal(at.base_url, 'json')}",
        "      models:",
        f"        default: [{text_literal(at.model, 'json')}]",
        "        fetch: true",
    )
    return [
        Paste("librechat.yaml", "yaml", "\n".join(lines)),
        Paste(".env", "bash", f"{KEY_NAME}={at.key}"),
    ]


def _open_webui(at: Connection) -> list[Value]:
    return [Value("URL", at.base_url), Value("Key", at.key), Value("Model IDs", at.model)]


def _cursor(at: Connection) -> list[Value]:
    return [
        Value("OpenAI API Key", at.key),
        Value("Override OpenAI Base URL", at.base_url),
        Value("Add Custom Model", at.model),
    ]


def _cline(at: Connection) -> list[Value]:
    return [
        Value("API Provider", "OpenAI Compatible"),
        Value("Base URL", at.base_url),
        Value("OpenAI Compatible API Key", at.key),
        Value("Model ID", at.model),
    ]


AGENTS: Final[Mapping[str, Agent]] = {
    "claude-code": Agent("Claude Code", _claude_code, sign_in=_claude_code_sign_in),
    "codex": Agent("Codex", _codex),
    "gemini-cli": Agent("Gemini CLI", _gemini_cli),
    "opencode": Agent("opencode", _opencode),
    "cursor": Agent("Cursor", values=_cursor, window="Settings › Models › API Keys", public=True),
    "cline": Agent("Cline", values=_cline, window="Settings › API Configuration"),
    "aider": Agent("Aider", _aider, tools=False),
    "open-webui": Agent(
        "Open WebUI",
        values=_open_webui,
        window="Admin Panel › Settings › Connections › OpenAI API",
        tools=False,
    ),
    "librechat": Agent("LibreChat", _librechat, tools=False),
}
