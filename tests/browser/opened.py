"""What opens over a page, opened with the keyboard: menus, lists of a field, dialogs, folds."""

import re
from typing import Any, Final

from django.urls import resolve
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.pressable import pressing_faults
from tests.browser.visitor import findings, too_wide

# Each is marked, so that it is found again. What is in a menu is seen once its menu is open.
_OPENERS: Final = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (node) => node.checkVisibility({ visibilityProperty: true });
  const marked = new Map();
  const mark = (node) => {
    if (!marked.has(node)) marked.set(node, String(marked.size));
    return node.dataset.opener = marked.get(node);
  };
  const offers = (menu) => [...menu.querySelectorAll("a, button, input, select, textarea")]
    .map((one) => `${one.tagName} ${one.name || (one.ariaLabel ?? one.textContent).trim()}`);
  const found = [];
  const note = (node, kind, what) => {
    const menu = node.closest("[popover]");
    const button = menu && all(`[popovertarget="${menu.id}"]`).find(shown);
    if (node.disabled || node.closest("dialog") || (menu ? !button : !shown(node))) return;
    found.push({ at: mark(node), kind, what, within: button ? mark(button) : "" });
  };
  for (const one of all("[popovertarget]")) {
    const menu = document.getElementById(one.getAttribute("popovertarget"));
    if (menu) note(one, "menu", [menu.id, ...offers(menu)].join(" | "));
  }
  for (const one of all("[data-pick-for]")) note(one, "models", location.pathname);
  for (const one of all("[data-dialog]")) note(one, "dialog", one.dataset.dialog);
  for (const one of all("[hx-get][hx-target='#dialog']"))
    note(one, "form", one.getAttribute("hx-get"));
  for (const one of all("main [role=combobox]")) note(one, "list", one.getAttribute("name"));
  return found;
}"""
_DIALOG: Final = "dialog:modal"
_OVER: Final = f"{_DIALOG}, [popover]:popover-open:not(#toasts)"
# What is over all others, and whether it holds the focus or is what the focused button opened.
_FOCUS: Final = """(over) => {
  const focused = document.activeElement;
  const style = getComputedStyle(focused);
  const faults = [];
  const own = focused.getAttribute("popovertarget") ?? focused.getAttribute("aria-controls");
  if (!over.contains(focused) && own !== over.id && !over.querySelector("[popovertarget]"))
    faults.push(`the focus is outside: ${focused.outerHTML.slice(0, 120)}`);
  const { left, right, top, bottom } = over.getBoundingClientRect();
  if (left < 0 || right > innerWidth + 1 || top < 0 || bottom > innerHeight + 1)
    faults.push(`out of the window: ${[left, right, top, bottom].map(Math.round)}`);
  if (over.scrollWidth > over.clientWidth + 1)
    faults.push(`${over.scrollWidth} px wide in ${over.clientWidth}`);
  return faults;
}"""
_UNFOLD: Final = """() => {
  const folds = [...document.querySelectorAll("main details:not([open])")];
  for (const one of folds) one.open = true;
  return folds.length;
}"""
# They ask who it is, and lead to another page where that was long ago; walked by test_erasure.py.
_ASK_FIRST: Final = {"form member_erase", "form person_erase", "form own_erasure"}
_NUMBER: Final = re.compile(r"[0-9a-f-]{8,}|\d+")


class Openings:
    """Of one walk through pages: what was opened already in the same form is not opened again."""

    def __init__(self) -> None:
        self._seen = set(_ASK_FIRST)

    def faults(self, page: Page) -> list[str]:
        """Open all that the page offers, one after another, and close it; what is wrong with it."""
        result = []
        for opener in page.evaluate(_OPENERS):
            form = _form(opener)
            if form not in self._seen:
                self._seen.add(form)
                result += [f"{page.url} {form[:80]}: {fault}" for fault in _try(page, opener)]
        if page.evaluate(_UNFOLD):
            result += findings(page)
            if wide := too_wide(page):
                result.append(f"{page.url} unfolded: {wide}")
        return result


def _form(opener: dict[str, Any]) -> str:
    what = opener["what"] or ""
    if opener["kind"] == "form":
        what = resolve(what.partition("?")[0]).view_name
    return f"{opener['kind']} {_NUMBER.sub('#', what)}"


def _try(page: Page, opener: dict[str, Any]) -> list[str]:
    place = page.locator(f"[data-opener='{opener['at']}']").first
    first = place
    if opener["within"]:
        first = page.locator(f"[data-opener='{opener['within']}']").first
        _press(page, first)
        expect(place).to_be_visible()
    _press(page, place, "ArrowDown" if opener["kind"] == "list" else "Enter")
    # The menu that a form is chosen from stays until its dialog comes.
    over = page.locator(_DIALOG if opener["kind"] in ("form", "dialog") else _OVER).last
    try:
        over.wait_for()
    except TimeoutError:
        return ["does not open"]
    expect(over.locator("[aria-busy=true]")).to_have_count(0)
    result: list[str] = over.evaluate(_FOCUS)
    result += findings(page, within=over)
    result += pressing_faults(page, over)
    if wide := too_wide(page):
        result.append(wide)
    while page.locator(_OVER).count():
        page.keyboard.press("Escape")
    try:
        expect(first).to_be_focused()
    except AssertionError:
        focused = page.evaluate("() => document.activeElement.outerHTML.slice(0, 120)")
        result.append(f"the focus does not come back, but goes to {focused}")
    return result


def _press(page: Page, place: Locator, key: str = "Enter") -> None:
    place.focus()
    page.keyboard.press(key)
