"""`make docs`: the documents as a static site."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reference.manual.pages import manual
from tests.house.test_style import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("documents") / "site"
    command = [sys.executable, "-m", "tools.site", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return target


def test_the_site_has_every_page_and_its_markdown(site: Path) -> None:
    for page in manual().pages.values():
        assert (site / f"{page.name}.html").is_file()
        assert (site / f"{page.name}.md").read_text(encoding="utf-8") == page.source
    assert (site / "index.html").is_file()
    listed = re.findall(r"\]\((.+?)\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert len(listed) == len(manual().pages) - 1
    assert [name for name in listed if not (site / name).is_file()] == []


def test_site_navigation_matches_the_first_page(site: Path) -> None:
    first = (site / "index.html").read_text(encoding="utf-8")
    [tree] = re.findall(r'<div class="sidebar-tree">(.*?)</div>', first, re.DOTALL)
    linked = re.findall(r'href="([^"#]+)\.html"', tree)
    assert linked == [page.name for page in manual().listed[1:]]


def test_the_search_of_the_site_needs_no_network(site: Path) -> None:
    assert "backup" in (site / "searchindex.js").read_text(encoding="utf-8").lower()
    for page in (site / "index.html", site / "search.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'(?:src|<link[^>]*href)="(https?:[^"]+)"', text) == []
