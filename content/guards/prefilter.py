"""One look at all texts of a request together, which tells that nothing in them can match."""

from collections.abc import Iterable

import re2

from content.detectors.detector import Detector
from content.detectors.folded import folded


class Prefilter:
    """`may_match` is false only for bytes in which no text stands that a detector finds something
    in."""

    __slots__ = ("_always", "_expression")

    def __init__(self, detectors: Iterable[Detector]) -> None:
        # A detector of an extension may have no such expression.
        forms = {getattr(one, "within", None) for one in detectors}
        self._always = None in forms
        known = sorted(form for form in forms if form is not None)
        self._expression = None if self._always or not known else re2.compile("|".join(known))

    def may_match(self, raw: bytes) -> bool:
        if self._expression is None:
            return self._always
        if not raw.isascii():
            # What detectors read folded is folded character by character, so within bytes too.
            raw = folded(raw.decode()).encode()
        return self._expression.search(raw) is not None
