"""Settings from the environment, or from a file of the installation."""

import os
from contextlib import suppress
from math import inf
from pathlib import Path


class ConfigurationError(Exception):
    """The installation's configuration is wrong; the message names the cause and the next step."""


def text(name: str, default: str) -> str:
    """Return the text of a variable, or of the file that the variable NAME_FILE names. An empty
    text counts as unset, because compose passes unset variables of .env that way."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        subject = f"{name}_FILE names {file}, which"
        try:
            return _read(Path(file), subject) or default
        except FileNotFoundError as error:
            raise ConfigurationError(f"{subject} is not there.") from error
    return os.environ.get(name) or default


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"", "0", "false", "no", "off"}:
        return False
    raise ConfigurationError(f"{name} is {value!r}; it must be 1 or 0.")


def number(name: str, default: int) -> int:
    """Return a whole number, 0 or more."""
    value = optional_number(name)
    return default if value is None else value


def optional_number(name: str) -> int | None:
    """Return a whole number, 0 or more, or None where the variable is not set."""
    value = text(name, "")
    if not value:
        return None
    if not value.isascii() or not value.isdigit():
        raise ConfigurationError(f"{name} is {value!r}; it must be a whole number, 0 or more.")
    return int(value)


def seconds(name: str, default: float, least: float = 0) -> float:
    """Return a duration, which may have decimals."""
    value = text(name, str(default))
    with suppress(ValueError):
        if least <= (number := float(value)) < inf:
            return number
    raise ConfigurationError(f"{name} is {value!r}; it must be seconds, {least:g} or more.")


def require_value(name: str, value: str | None) -> str:
    """Return the value of a setting that this process requires."""
    if not value:
        raise ConfigurationError(f"{name} is not set. Set it in the environment.")
    return value


def read_kept(name: str, directory: Path) -> str | None:
    """Return the variable's text, else the content of the file with that name in `directory`, else
    None."""
    value = text(name, "")
    if value:
        return value
    try:
        return _read(directory / name, str(directory / name)) or None
    except FileNotFoundError:
        return None


def _read(file: Path, subject: str) -> str:
    """Return the text of a file. Raises FileNotFoundError, and ConfigurationError if the file
    cannot be read."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"{subject} cannot be read: {reason}.") from error
