"""A noun is in its own folder. What else has to name it is counted on one noun, announcements: they
have a page, operations, an audit trail, a table for everybody and one for each person."""

import re
from typing import Final

from tests.house.test_style import ROOMS, ROOT

_OWN: Final = ("gateway/status/", "gateway/models/announcements.py", "templates/gateway/status/")
_NAMED: Final = re.compile(r"\b(?i:announcements?)(?:_|\b)|\bAnnouncement")

# A new noun has the places of REGISTRIES, as far as it needs them. Shorten the list when one
# learns from another; do not lengthen it.
REGISTRIES: Final = {
    "accounts/audit_log/words.py": "what it is called in the audit log, and what happened to one",
    "config/api/api.py": "its operations",
    "config/shell/pages.py": "where its page is in the menu, who may open it, and what explains it",
    "gateway/models/__init__.py": "its models",
    "gateway/urls.py": "its addresses",
}
USES: Final = {
    "config/shell/context_processors.py": "the banner of every page",
    "playground/erasure/erasure_steps.py": "what an erased person has closed",
    "templates/base.html": "the banner of every page",
}


def test_a_noun_is_named_in_few_places_outside_its_folder() -> None:
    files = [path for room in (*ROOMS, "templates") for path in (ROOT / room).rglob("*")]
    named = {
        name
        for path in files
        if path.suffix in (".py", ".html", ".txt") and "migrations" not in path.parts
        if not (name := path.relative_to(ROOT).as_posix()).startswith(_OWN)
        if _NAMED.search(path.read_text())
    }
    assert named == REGISTRIES.keys() | USES.keys()
