"""The paths of all pages, found by the part of the path that distinguishes them. Django tries all
patterns in turn, which takes up to 0.2 ms of each request with 490 of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from django.urls import ResolverMatch, URLPattern, URLResolver
from django.urls.resolvers import RoutePattern
from django.utils.functional import cached_property

# Where the second part is that distinguishes the paths below these. In a route it has no parameter.
_SECOND: Final[Mapping[str, int]] = {"o": 2, "admin": 1}

Patterns = Sequence[URLPattern | URLResolver]


class PagePaths(URLResolver):
    """Resolves as Django does with these patterns, in their order, but tries only those that begin
    as the path does."""

    def __init__(self, patterns: Patterns) -> None:
        super().__init__(RoutePattern(""), [*patterns])

    @cached_property
    def _by_start(self) -> Mapping[tuple[str, str], URLResolver]:
        groups = defaultdict[tuple[str, str], list[URLPattern | URLResolver]](list)
        for pattern in self.url_patterns:
            groups[start_of(str(pattern.pattern).removeprefix("^"))].append(pattern)
        return {start: URLResolver(self.pattern, group) for start, group in groups.items()}

    def resolve(self, path: str) -> ResolverMatch:
        group = self._by_start.get(start_of(path))
        return (group or URLResolver(self.pattern, [])).resolve(path)


def start_of(path: str) -> tuple[str, str]:
    """Return the parts of a path or route that distinguish it: ("o", "keys") of "o/acme/keys/new",
    ("login", "") of "login/sso"."""
    parts = path.split("/", 3)
    place = _SECOND.get(parts[0], len(parts))
    return parts[0], parts[place] if place < len(parts) else ""
