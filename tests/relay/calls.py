"""Functions that note how they are called, for what is tested on a script."""

from typing import Any


class Calls(list[tuple[Any, ...]]):
    """What was called, in order."""

    def of(self, name: str, result: Any = None) -> Any:
        def call(*values: Any, **named: Any) -> Any:
            self.append((name, *values, *named.values()))
            return result

        return call

    def waited(self, name: str, result: Any = None) -> Any:
        async def call(*values: Any, **named: Any) -> Any:
            self.append((name, *values, *named.values()))
            return result

        return call
