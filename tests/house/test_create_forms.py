"""What a list holds is created and changed in a dialog or on a page of its own: no list has an open
form beside it."""

import re
from pathlib import Path

from tests.house.test_style import ROOT

TEMPLATES = ROOT / "templates"
# Lists that are small enough to be drawn by their page.
SMALL = {
    "accounts/roles/roles.html",
    "gateway/prices/plan.html",
    "gateway/prices/proposals.html",
    "gateway/routing/model_rules.html",
    "gateway/status/announcements.html",
    "mfa/index.html",
    "usage/months/document.html",
    "usersessions/usersession_list.html",
}
# What posts something and creates nothing of its list.
OTHER = {
    "playground/chats/history.html": "Import is one button, a choice of a file",
    "usage/reviews/reviews.html": "the decision on each unknown kind",
}
_TABLE = "{% table page %}"
_INCLUDE = re.compile(r'{%\s*include\s+"([^"]+)"[^%]*%}')
_POST = re.compile(r'<form\b(?:(?!</form>).)*?method="post".*?</form>', re.DOTALL)
_FIELD = re.compile(
    r"""<textarea|<select|{{\s*(?:field|form)\b[^}]*}}"""
    r"""|<input(?![^>]*type="(?:hidden|submit)")"""
)


def whole(name: str) -> str:
    """Return a template with what it includes in its place."""
    return _INCLUDE.sub(lambda one: whole(one[1]), (TEMPLATES / name).read_text())


def list_pages(templates: Path) -> set[str]:
    """Return the pages that include the shared list."""
    text_of = {
        str(path.relative_to(templates)): path.read_text() for path in templates.rglob("*.html")
    }
    lists = {name for name, text in text_of.items() if _TABLE in text}
    return {
        name
        for name, text in text_of.items()
        if name.rpartition("/")[2][0] != "_" and lists & set(_INCLUDE.findall(text))
    }


def open_forms(name: str) -> list[str]:
    """Return the forms of a page that post something typed or chosen."""
    return [form for form in _POST.findall(whole(name)) if _FIELD.search(form)]


def test_no_list_has_an_open_form_beside_it() -> None:
    pages = list_pages(TEMPLATES)
    assert len(pages) > 40
    assert {name for name in pages | SMALL if open_forms(name)} == OTHER.keys()
