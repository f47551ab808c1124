"""Optional packages, which the wheel of Weir installs only on request."""

from importlib.util import find_spec
from typing import Final, Literal

from django.utils.translation import gettext

from lib.refusal import Refused

Extra = Literal["import", "objects", "otel", "parquet", "pdf"]
# The optional dependencies of pyproject.toml, with a module that each one installs.
EXTRAS: Final[dict[Extra, str]] = {
    "import": "nacl",
    "objects": "obstore",
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
    except ModuleNotFoundError:  # the package that contains the module is missing
        return False


def require(extra: Extra) -> None:
    """Raise ExtraMissing unless the extra is installed."""
    if not is_installed(extra):
        raise ExtraMissing(extra)
