"""Name the device of a request by its User-Agent."""

import re
from typing import Final, NamedTuple


class Device(NamedTuple):
    """The names of a browser and its system; "" if unknown."""

    browser: str
    system: str


# The first match wins: browsers also contain the names of the browsers that they derive from.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str) -> Device:
    return Device(_first_match(_BROWSERS, user_agent), _first_match(_SYSTEMS, user_agent))


def _first_match(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for part, name in names if part in user_agent), "")


# The first name and version in a program's User-Agent: `OpenAI/Python 2.1.0`, `curl/8.5.0`.
_PRODUCT: Final = re.compile(r"[^\s(]+(?: v?\d[\w.]*)?")
PRODUCT_MAX: Final = 60


def product_of(user_agent: str) -> str:
    """Shorten a User-Agent to the program's name; "" if there is none."""
    if user_agent.startswith("Mozilla/"):
        return device_of(user_agent).browser
    product = _PRODUCT.match(user_agent.strip())
    return product[0][:PRODUCT_MAX] if product else ""
