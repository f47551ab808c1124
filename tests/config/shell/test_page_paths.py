"""Pages are found by the start of their path as Django finds them among all."""

import re
from typing import Any

import pytest
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from config.shell.page_paths import PagePaths, start_of
from config.urls import urlpatterns
from lib.extensions.installed import InvalidContribution
from tests.house.test_access import addresses

(BY_START,) = urlpatterns
IN_TURN = URLResolver(RoutePattern(""), BY_START.url_patterns)
ROUTES = [where.removeprefix("^") for where, _, _ in addresses(get_resolver())]


def found(resolver: URLResolver, path: str) -> Any:
    try:
        match = resolver.resolve(path)
    except Resolver404:
        return None
    return match.func, match.args, match.kwargs, match.view_name, match.route


@pytest.mark.parametrize("end", ["", "/", "/new", "/x/y", "x", "\n"])
def test_a_page_is_the_first_that_matches_of_all(end: str) -> None:
    paths = [re.sub(r"<[^>]+>|\(\?P[^/]+", "7", route) + end for route in ROUTES]
    results = [found(BY_START, path) for path in paths]
    assert results == [found(IN_TURN, path) for path in paths]
    assert end or sum(result is not None for result in results) > 0.95 * len(results)


@pytest.mark.parametrize("path", ["", "/", "o", "o/", "o//", "o/acme", "admin", "admin//x", "no"])
def test_the_edges_of_starts_are_found_alike(path: str) -> None:
    assert found(BY_START, path) == found(IN_TURN, path)


def test_no_route_has_a_parameter_in_its_start() -> None:
    assert [route for route in ROUTES if re.search(r"[<(]", "".join(start_of(route)))] == []


def page(name: str | None, route: str = "extra") -> URLPattern:
    return URLPattern(RoutePattern(f"admin/{route}", name=name, is_endpoint=True), print, name=name)


@pytest.mark.parametrize("wrong", [page("taken", "other"), URLResolver(RoutePattern("x"), [])])
def test_pages_of_an_extension_have_names_of_their_own(wrong: URLPattern | URLResolver) -> None:
    """One that has not adds nothing, and what is taken away leaves the others."""
    paths = PagePaths([page("taken", "first")])
    with pytest.raises(InvalidContribution, match="no pattern with a name of its own"):
        paths.add([page("own"), wrong])
    assert found(paths, "admin/extra") is None
    take_away = paths.add([page("own")])
    assert found(paths, "admin/extra")[3] == "own"
    take_away()
    assert found(paths, "admin/extra") is None
    assert found(paths, "admin/first")[3] == "taken"
