"""What a page says to whoever does not see it, as far as its HTML tells: each control and picture
has a name, no two elements one id, and what is named by another element is named by one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
     "wbr"}
)  # fmt: skip
_FIELDS = frozenset({"input", "select", "textarea"})
_NAMED_BY_TEXT = frozenset({"a", "button", "summary"})
_HIDDEN = frozenset({"template", "script", "style", "noscript"})


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    around: "Element | None"
    inside: list["Element"] = field(default_factory=list)
    own_text: str = ""

    @property
    def text(self) -> str:
        """What is read of it, names of pictures too."""
        named = self.attributes.get("alt", "") + self.attributes.get("aria-label", "")
        return (self.own_text + named + "".join(part.text for part in self.inside)).strip()

    def above(self) -> Iterator["Element"]:
        element = self.around
        while element is not None:
            yield element
            element = element.around

    def __str__(self) -> str:
        return f"<{self.tag} {self.attributes}>"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._inside = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._inside)
        self._inside.inside.append(element)
        self.elements.append(element)
        if tag not in _VOID:
            self._inside = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        # What HTML lets a page leave open ends with what is around it.
        around = next(
            (one for one in (self._inside, *self._inside.above()) if one.tag == tag), None
        )
        if around is not None and around.around is not None:
            self._inside = around.around

    def handle_data(self, data: str) -> None:
        self._inside.own_text += data


def read(html: str) -> list[Element]:
    """The elements of a page, but those that are no part of it yet."""
    reader = _Reader()
    reader.feed(html)
    return [
        element
        for element in reader.elements
        if not any(around.tag in _HIDDEN for around in element.above())
    ]


def faults(elements: list[Element]) -> list[str]:
    """What is wrong, each with its element."""
    ids = Counter(one.attributes["id"] for one in elements if one.attributes.get("id"))
    labelled = {
        one.attributes.get("for", "") for one in elements if one.tag == "label" and one.text
    }
    results = [f"{count} elements have the id {id}" for id, count in ids.items() if count > 1]
    results += [f"has no name: {one}" for one in elements if _is_nameless(one, labelled)]
    for one in elements:
        # What opens in a dialog brings its title along.
        if one.tag == "dialog":
            continue
        named_by = one.attributes.get("aria-labelledby", "").split()
        results += [
            f"is named by {id}, which is not there: {one}" for id in named_by if id not in ids
        ]
    return results


def _is_nameless(element: Element, labelled: set[str]) -> bool:
    attributes = element.attributes
    if "hidden" in attributes:
        return False
    if any(attributes.get(name) for name in ("aria-label", "aria-labelledby", "title")):
        return False
    if element.tag == "img":
        return "alt" not in attributes
    if element.tag in _FIELDS:
        if attributes.get("type") in ("hidden", "submit", "button", "image"):
            return False
        around = any(one.tag == "label" and one.text for one in element.above())
        return not around and attributes.get("id") not in labelled
    if element.tag in _NAMED_BY_TEXT:
        return not element.text and (element.tag != "a" or "href" in attributes)
    return False
