"""A link leads to the same place with and without script (W32)."""

import re

import pytest

from tests.house.test_forms import _QUOTED, attributes, templates

_LINK = re.compile(rf"<a\b({_QUOTED})>", re.DOTALL)
# Links to the page that has what a script puts in place alone.
TO_THE_WHOLE_PAGE = {
    "config/home/_failure.html": "?panels=all",
    "playground/turns/_earlier_link.html": "?msg={{ earlier }}",
}
LINKS = [
    pytest.param(where, of, id=f"{where}-{n}")
    for n, (where, of) in enumerate(
        (where, attributes(text)) for where, html in templates() for text in _LINK.findall(html)
    )
    if "hx-get" in of
]


@pytest.mark.parametrize(("where", "of"), LINKS)
def test_a_link_leads_to_what_its_script_fetches(where: str, of: dict[str, str]) -> None:
    assert of["href"] == TO_THE_WHOLE_PAGE.get(where, of["hx-get"])


def test_links_are_read() -> None:
    assert len(LINKS) > 30
