"""Somebody without a mouse: Tab, Enter, Space, arrows, letters, Escape."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.visitor import RING

# More stops than any way has on these pages: what is not met by then is not reached.
_STOPS_MAX = 150
# The browser is asked what it draws around the focus, and whether something lies over its middle.
_HIDDEN = (
    f"() => {{ const ring = {RING};"
    """
  const node = document.activeElement;
  if (node === document.body) return ""; // past the last stop, before the first
  const box = node.getBoundingClientRect();
  if (!ring(node)) return "no ring";
  const x = Math.min(Math.max(box.left + box.width / 2, 0), innerWidth - 1);
  const y = box.top + Math.min(box.height / 2, innerHeight / 2);
  const over = document.elementFromPoint(x, y);
  const seen = over && (node.contains(over) || over.contains(node) || over.closest("label"));
  return seen ? "" : `covered by ${over?.outerHTML.slice(0, 80) ?? "the edge of the window"}`;
}"""
)


class Typist:
    """`stops` are the presses of Tab of each task."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.stops: dict[str, int] = {}
        self._task = ""

    def begin(self, task: str, path: str) -> None:
        self._task = task
        self.stops[task] = 0
        self.page.goto(path)
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)

    def go_to(self, place: Locator) -> None:
        """By Tab; whatever has the focus on the way is seen."""
        for _ in range(_STOPS_MAX):
            if place.evaluate("(node) => node === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
            self.stops[self._task] += 1
            hidden = self.page.evaluate(_HIDDEN)
            focused = "() => document.activeElement.outerHTML.slice(0, 160)"
            assert hidden == "", f"{self._task}: {self.page.evaluate(focused)} is {hidden}"
        raise AssertionError(f"{self._task}: Tab does not lead to {place}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def enter(self, place: Locator) -> None:
        """Go to it and press Enter."""
        self.go_to(place)
        self.press("Enter")

    def fill(self, place: Locator, text: str) -> None:
        self.go_to(place)
        self.type(text)

    def find(self, words: str) -> None:
        """A page, by the palette."""
        palette = self.page.locator("#palette")
        self.press("Control+k")
        expect(palette.get_by_role("combobox")).to_be_focused()
        self.type(words)
        first = palette.get_by_role("option").first
        expect(first).to_have_attribute("aria-selected", "true")
        expect(palette.get_by_role("listbox")).to_have_attribute("data-answers", words)
        self.press("Enter")
        self.page.wait_for_load_state()
