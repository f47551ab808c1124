"""The reference pages are what the code says: `make reference` writes them."""

import re

import pytest

from config.system.metrics import metrics_text
from tools.reference_pages import PAGES, metric_families, path_of


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_matches_the_code(name: str) -> None:
    assert path_of(name).read_text(encoding="utf-8") == PAGES[name]()


@pytest.mark.django_db
def test_metrics_page_lists_the_scraped_metrics() -> None:
    """With its types: the generator reads the source, and not what is sent."""
    scraped = re.findall(r"^# TYPE (\w+) (\w+)$", metrics_text().decode(), re.MULTILINE)
    assert sorted(scraped) == [(family.name, family.kind) for family in metric_families()]
