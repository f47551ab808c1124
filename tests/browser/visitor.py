"""A browser, and somebody who looks closely: at complaints, at strangers, at what axe finds."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, sync_playwright

from stack.test_programs import browser as chromium
from tests.runner.programs import lack

_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`);
});
"""
_AXE = Axe()
_ANSWERED = re.compile(r'<h[3-6] dir="auto">')
# A rule's impact is that of all it finds: one that is only ever minor is not asked.
_LOOK = """async ([only, within]) => {
  const minor = axe._audit.rules.filter(({ impact }) => impact === "minor");
  const rules = Object.fromEntries(minor.map(({ id }) => [id, { enabled: false }]));
  const which = only.length ? { runOnly: only } : { rules };
  // The way to each element takes longer to find than most rules; its markup is told instead.
  const quick = { resultTypes: ['violations'], selectors: false };
  return (await axe.run(within ?? document, { ...quick, ...which })).violations;
}"""
# A field among chips has the ring of all that it is in.
RING = """(node) => [node, node.closest(".picked")].some((one) => {
  const style = one && getComputedStyle(one);
  return style && (style.outlineStyle !== "none" || style.boxShadow !== "none");
})"""
# Charts follow a window that was made smaller in a later frame.
_FITS = """async () => {
  const page = document.scrollingElement;
  for (let frame = 0; frame < 60 && page.scrollWidth > page.clientWidth; frame++) {
    await new Promise(requestAnimationFrame);
  }
  const { scrollWidth, clientWidth } = page;
  return scrollWidth <= clientWidth ? "" : `${scrollWidth} px wide in ${clientWidth}`;
}"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window: the system's, or else Playwright's own."""
    if not chromium.is_browser_installed():
        lack("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """One browser context with one page; what goes wrong in it is noted. Nothing moves unless it is
    asked for: what is still fading in has not its colours yet, and is drawn anew sixty times a
    second."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=url, **{"reduced_motion": "reduce", **options}
        )
        self.context.add_init_script(_REPORT_VIOLATIONS)
        self.context.on("console", self._note_console)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("request", self._note_request)
        self.page: Page = self.context.new_page()

    def _note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type} at {self.page.url}: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:")):
            self.complaints.append(f"request to {request.url}")

    def sign_in(self, link: str) -> None:
        """Follow a one-time link to the home page."""
        self.page.goto(link)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/o/*/")

    def speak(self, language: Literal["en", "zh-hans"]) -> None:
        self.context.add_cookies([{"name": "language", "value": language, "url": self.url}])


def act_on(page: Page, name: str, action: str) -> None:
    """Take an action of the menu of the row of that name."""
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.locator(".menu:popover-open").get_by_role("link", name=action).click()


def findings(page: Page, *rules: str, within: Locator | None = None) -> list[str]:
    """What axe finds moderate or worse, on the page or in a part of it, by all its rules unless
    some are named."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_AXE.axe_script)
    part = within.element_handle() if within else None
    return [
        f"{page.url} {violation['id']}: {node['html'][:200]}"
        for violation in page.evaluate(_LOOK, [rules, part])
        if violation["impact"] in ("moderate", "serious", "critical")
        for node in violation["nodes"]
        # The outline of an answer is what its model wrote.
        if not (violation["id"] == "heading-order" and _ANSWERED.match(node["html"]))
    ]


def findings_in_both_themes(page: Page) -> list[str]:
    """By all rules in the light theme, and in the dark one by that which looks at colours."""
    result = findings(page)
    page.emulate_media(color_scheme="dark")
    result += findings(page, "color-contrast")
    page.emulate_media(color_scheme="light")
    return result


def too_wide(page: Page) -> str:
    """How much wider than its window the page is; empty when it fits."""
    message: str = page.evaluate(_FITS)
    return message
