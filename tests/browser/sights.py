"""What is seen of a page: by axe, by whoever has no mouse, on a telephone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.looks import TELEPHONE, Look
from tests.browser.opened import Openings
from tests.browser.pressable import pressing_faults
from tests.browser.visitor import RING, Visitor, findings, too_wide

# Scripts and styles as they come over the wire, from the cache or not.
_CODE_BYTES = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => /\\.(js|css)$/.test(new URL(name).pathname))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""


def open_each(visitor: Visitor, paths: Mapping[str, str]) -> Iterator[tuple[str, Page]]:
    for name, path in paths.items():
        response = visitor.page.goto(path)
        assert response is not None
        came = (response.status, visitor.page.url)
        assert came == (200, visitor.url + path), f"{name}: {came}"
        # What comes behind the page belongs to it.
        expect(visitor.page.locator("[hx-get][aria-busy=true]")).to_have_count(0)
        yield name, visitor.page


# What a page offers to a mouse and not to the keyboard. Files are chosen by a button beside the
# field; bars are one stop, from which arrows lead on (test_charts.py).
_BY_MOUSE_ALONE = """() => {
  const shown = (node) => node.checkVisibility({ visibilityProperty: true });
  const offered = [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden], [type=file]), select, textarea, summary, " +
    "[onclick], [role=button]"
  )].filter((node) => shown(node) && !node.disabled && !node.closest("[inert]"));
  const reached = (node) => node.tabIndex >= 0
    || node.matches(":is([role], [data-histogram]) [tabindex='-1']");
  return offered.filter((node) => !reached(node)).map((node) => node.outerHTML.slice(0, 160));
}"""
_FOCUSED = (
    f"() => {{ const ring = {RING};"
    """
  const node = document.activeElement;
  if (!node || node === document.body) return "";
  const box = node.getBoundingClientRect();
  return `${node.tagName} ${node.name ?? ""} ${node.href ?? ""} ` +
    `${(node.textContent ?? "").trim().slice(0, 40)}` + (ring(node) && box.width ? "" : " UNSEEN");
}"""
)
_STEPS: Final = 5


@dataclass(frozen=True)
class Sight:
    """What was seen of a page: `by_mouse` is what the keyboard does not reach, `focused` where
    some presses of Tab led, `unpressed` what lies under or on something else, `too_wide` what a
    telephone would say, `opened` the faults of what opens over it."""

    name: str
    look: Look
    language: str | None
    title: str
    headings: int
    code_bytes: int
    findings: list[str]
    by_mouse: list[str]
    focused: list[str]
    unpressed: list[str]
    too_wide: str
    opened: list[str]

    def faults(self) -> list[str]:
        """All that shuts somebody out, after the name of the page."""
        unseen = [text for text in self.focused if text.endswith("UNSEEN")]
        wide = [self.too_wide] if self.too_wide else []
        found = [*self.findings, *self.by_mouse, *unseen, *self.unpressed, *wide, *self.opened]
        return [f"{self.name}: {fault}" for fault in found]


def look_at(name: str, page: Page, look: Look, openings: Openings) -> Sight:
    code_bytes = page.evaluate(_CODE_BYTES)
    result = findings(page)
    by_mouse = page.evaluate(_BY_MOUSE_ALONE)
    focused = []
    for _ in range(_STEPS):
        page.keyboard.press("Tab")
        focused.append(page.evaluate(_FOCUSED))
    # The link to the content lies over the page while it has the focus, by intent.
    page.evaluate("document.activeElement?.blur()")
    unpressed = pressing_faults(page)
    size = page.viewport_size
    page.set_viewport_size(TELEPHONE)
    wide = too_wide(page)
    page.set_viewport_size(size or TELEPHONE)
    return Sight(
        name=name,
        look=look,
        language=page.locator("html").get_attribute("lang"),
        title=page.title(),
        headings=page.locator("h1").count(),
        code_bytes=code_bytes,
        findings=result,
        by_mouse=by_mouse,
        focused=focused,
        unpressed=unpressed,
        too_wide=wide,
        opened=openings.faults(page),
    )


def walk(
    browser: Browser,
    url: str,
    state: StorageState | None,
    paths: Mapping[str, str],
    look: Look,
    act: Callable[[str, Page], None] = lambda name, page: None,
) -> Iterator[Sight]:
    """See each page, after what is done on it; nobody may have complained at the end."""
    visitor = Visitor(browser, url, storage_state=state, **look.options)
    visitor.speak(look.language)
    openings = Openings()
    for name, page in open_each(visitor, paths):
        act(name, page)
        yield look_at(name, page, look, openings)
    visitor.context.close()
    assert visitor.complaints == []
