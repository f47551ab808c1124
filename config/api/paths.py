"""The paths of the management API. Its schemas are half of what a web process would load at its
start, so they are loaded with the first request for one of these paths."""

from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern
from django.utils.functional import cached_property


class ManagementPaths(URLResolver):
    """Resolves the paths below `route`, and their names in the namespace `api`."""

    def __init__(self, route: str) -> None:
        super().__init__(RoutePattern(route), "config.api.api", app_name="ninja", namespace="api")

    @cached_property
    def url_patterns(self) -> list[URLPattern | URLResolver]:
        from config.api.api import api

        patterns, _, _ = api.urls
        return patterns

    def _populate(self) -> None:
        """Read no names. Django looks up names of a namespace in a separate resolver by
        `url_patterns`; reading them here would load all operations for the name of any page."""
