"""HTML as tests compare it: how a template breaks its lines is no part of a page."""

import re

_TAG = re.compile(r"<[^!][^>]*>")


def squeezed(html: str) -> str:
    """`html` with one blank for each run of white space, and none inside of a tag's ends or
    between a tag and its text."""
    html = _TAG.sub(lambda tag: re.sub(r"\s*(/?>)$", r"\1", re.sub(r"\s+", " ", tag[0])), html)
    return re.sub(r"\s*(<[^!][^>]*>)\s*", r"\1", re.sub(r"\s+", " ", html))
