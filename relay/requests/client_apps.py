"""Identify the application that sends a request, by its headers: a short name. An application is
named by its own headers (`x-title`, `http-referer`), else by the library or program at the start of
`user-agent`.
"""

from functools import lru_cache
from typing import Final

APP_LENGTH: Final = 64

# Beginnings of `user-agent` that do not name their library, in lower case.
_LIBRARIES: Final = {
    "openai/python": "openai-python",
    "asyncopenai/python": "openai-python",
    "azureopenai/python": "openai-python",
    "asyncazureopenai/python": "openai-python",
    "openai/js": "openai-node",
    "azureopenai/js": "openai-node",
    "openai/go": "openai-go",
    "openai/java": "openai-java",
    "anthropic/python": "anthropic-python",
    "asyncanthropic/python": "anthropic-python",
    "anthropic/js": "anthropic-node",
    "anthropic/go": "anthropic-go",
    "anthropic/java": "anthropic-java",
    "google-genai-sdk": "google-genai",
    "claude-cli": "claude-code",
    "codex_cli_rs": "codex",
    "codex_exec": "codex",
    "codex_vscode": "codex",
    "codex-tui": "codex",
    "geminicli": "gemini-cli",
    "geminicli-tui": "gemini-cli",
    "mozilla": "browser",
}
_REMEMBERED: Final = 1024


@lru_cache(_REMEMBERED)
def client_app(user_agent: str, title: str = "", referer: str = "") -> str:
    """Return the name of the application, at most 64 visible characters; "" if unknown."""
    return _clean(title) or _host(_clean(referer)) or _library(_clean(user_agent))


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:APP_LENGTH]


def _host(referer: str) -> str:
    """Return the host of an address, with or without a scheme."""
    scheme, separator, rest = referer.partition("://")
    return (rest if separator else scheme).partition("/")[0].rpartition("@")[2].lower()


def _library(user_agent: str) -> str:
    product = user_agent.lower().split(" ", 1)[0]
    name = product.partition("/")[0]
    # OpenAI/Python 1.2, like other libraries' openai-python/1.2.
    return _LIBRARIES.get(product) or _LIBRARIES.get(name) or name
