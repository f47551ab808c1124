"""The reference pages are what the code says: `make reference` writes them."""

import re

import pytest

from config.system.metrics import metrics_text
from tools.reference_pages import PAGES, metric_families, path_of


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    assert path_of(name).read_text(encoding="utf-8") == PAGES[name]()


@pytest.mark.django_db
def test_the_page_of_metrics_lists_what_is_scraped() -> None:
    """With its types: the generator reads the source, and not what is sent."""
    scraped = re.findall(r"^# TYPE (\w+) (\w+)$", metrics_text().decode(), re.MULTILINE)
    assert sorted(scraped) == [(family.name, family.kind) for family in metric_families()]
