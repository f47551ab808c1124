"""Names of members in camelCase: Google's parsers accept camelCase and snake_case alike."""

import re

_SNAKE = re.compile(r"(?<=.)_([a-z0-9])")


def camel_name(name: str) -> str:
    """Return a name in camelCase."""
    return _SNAKE.sub(lambda letter: letter[1].upper(), name)
