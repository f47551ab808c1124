"""Which application a request comes from, by what its headers say of it: a short name.

An application that names itself (`x-title`, `http-referer`) is called so; else it is the library or
program at the head of `user-agent`.
"""

from functools import lru_cache
from typing import Final

APP_LENGTH: Final = 64

# Heads of `user-agent` that do not name their library, in small letters.
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
    "mozilla": "browser",
}
_REMEMBERED: Final = 1024


@lru_cache(_REMEMBERED)
def client_app(user_agent: str, title: str = "", referer: str = "") -> str:
    """The name of the application, at most 64 visible characters; "" where nothing tells it."""
    return _clean(title) or _host(_clean(referer)) or _library(_clean(user_agent))


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:APP_LENGTH]


def _host(referer: str) -> str:
    """The host of an address, which may stand without its scheme."""
    scheme, separator, rest = referer.partition("://")
    return (rest if separator else scheme).partition("/")[0].rpartition("@")[2].lower()


def _library(user_agent: str) -> str:
    product = user_agent.lower().split(" ", 1)[0]
    name = product.partition("/")[0]
    # OpenAI/Python 1.2, where others have openai-python/1.2.
    return _LIBRARIES.get(product) or _LIBRARIES.get(name) or name
