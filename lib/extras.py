"""Packages that few installations need, so that the wheel of Weir installs them only if asked."""

from importlib.util import find_spec
from typing import Final, Literal

from django.utils.translation import gettext

from lib.refusal import Refused

Extra = Literal["otel", "parquet", "pdf"]
# The optional dependencies of pyproject.toml, by a module that each brings.
EXTRAS: Final[dict[Extra, str]] = {
    "otel": "opentelemetry.sdk",
    "parquet": "arro3",
    "pdf": "typst",
}


class ExtraMissing(Refused):
    """The packages of an extra are not installed; the text says how to install them."""

    def __init__(self, extra: Extra) -> None:
        text = gettext("This needs a part that is not installed. An operator can install it: %s")
        super().__init__("format", text % install_line(extra))


def install_line(extra: Extra) -> str:
    return f"pip install 'weir-hub[{extra}]'"


def is_installed(extra: Extra) -> bool:
    try:
        return find_spec(EXTRAS[extra]) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def require(extra: Extra) -> None:
    """Raises ExtraMissing."""
    if not is_installed(extra):
        raise ExtraMissing(extra)
