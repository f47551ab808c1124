"""The lines of the reference, which is for everybody."""

from typing import Final

from tests.isolation.table.route import Route, at

PAGES: Final[dict[str, Route]] = {
    "docs": at("public"),
    "docs_page": at("public", rest={"slug": "none"}),
    "docs_errors": at("public"),
    "docs_headers": at("public"),
    "docs_faq": at("public"),
    "manual": at("public"),
    "manual_search": at("public"),
    "manual_page": at("public", rest={"name": "none"}),
    "llms_txt": at("public"),
}
