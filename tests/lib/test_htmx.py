from typing import Any

import pytest
from django.test import Client

from tests.support.cast import Cast, signed_in


@pytest.mark.parametrize(
    ("headers", "whole"),
    [
        ({}, True),
        ({"hx-request": "true"}, False),
        ({"hx-request": "true", "hx-history-restore-request": "true"}, True),
    ],
)
def test_the_part_is_for_htmx_only(people: Cast, headers: Any, whole: bool) -> None:
    browser: Client = signed_in(people.bob)
    page = browser.get("/o/acme/keys", headers=headers).content.decode()
    assert ("<html" in page) is whole
    assert 'id="results"' in page
