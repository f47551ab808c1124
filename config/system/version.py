"""The version of this code, that of pyproject.toml, which no container has."""

from typing import Final

VERSION: Final = "0.1.0"
