"""Somebody at a mouse, whose clicks are counted.

Typing is no click, and neither is Enter in a field that was typed in. A choice in a list that opens
counts twice: once to open it, once to choose.
"""

from playwright.sync_api import Locator, Page, expect


class Clicker:
    """Begins each task at home. `clicks` and `fields` are by task: clicks, and fields typed in."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self._home = home
        self._task = ""
        self.clicks: dict[str, int] = {}
        self.fields: dict[str, int] = {}

    def go_on(self, task: str) -> None:
        """With another task, from where the one before has led."""
        self._task = task
        self.clicks[task] = self.fields[task] = 0

    def begin(self, task: str) -> None:
        self.go_on(task)
        self.page.goto(self._home)
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)

    def click(self, place: Locator) -> None:
        place.click()
        self.clicks[self._task] += 1

    def choose(self, place: Locator, label: str) -> None:
        place.select_option(label=label)
        self.clicks[self._task] += 2

    def open(self, name: str) -> None:
        """A page of the navigation."""
        self.click(self.page.locator(".side").get_by_role("link", name=name, exact=True))

    def type(self, place: Locator, text: str) -> None:
        """Into a field that has the focus already, or is clicked into."""
        if not place.evaluate("(node) => node === document.activeElement"):
            self.click(place)
        self.fields[self._task] += 1
        self.page.keyboard.type(text)

    def enter(self) -> None:
        self.page.keyboard.press("Enter")

    def table(self) -> str:
        """What was counted, a line for each task."""
        lines = [
            f"{n:3} clicks {self.fields[task]:2} fields  {task}" for task, n in self.clicks.items()
        ]
        return "\n".join([*lines, f"{sum(self.clicks.values()):3} clicks altogether"])
