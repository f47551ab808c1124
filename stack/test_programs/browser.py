"""Find the Chromium that the tests drive, or install it.

    python -m stack.test_programs.browser

A headless build is preferred: it opens a page in a third of the time of full Chromium in headless
mode, which starts invisible windows. On Debian its package is installed (Ubuntu's is a stub for
another installer); elsewhere the system's Chromium is used, or Playwright's.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from stack.test_programs.apt import can_install, install_packages, is_debian

SHELL = "chromium-headless-shell"
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Return the path of a Chromium on PATH; None if Playwright has a browser of its own, or no
    Chromium is found."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def playwright_has_one() -> bool:
    from playwright.sync_api import sync_playwright

    try:
        with sync_playwright() as playwright:
            return Path(playwright.chromium.executable_path).exists()
    except Exception:
        # Its driver does not start, where a library such as libatomic is missing.
        return False


def install() -> None:
    """Install a Chromium for the tests. Raises CalledProcessError or OSError."""
    if is_debian() and can_install():
        install_packages(SHELL)
        return
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(playwright, check=True)


def is_browser_installed() -> bool:
    return bool(find()) or playwright_has_one()


def main() -> int:
    can_have_shell = is_debian() and can_install()
    if shutil.which(SHELL) or (is_browser_installed() and not can_have_shell):
        return 0
    print("Installing Chromium for the browser tests …", flush=True)
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        if is_browser_installed():
            return 0
        print(f"{error}\nInstall Chromium by hand, so that `chromium` is on PATH.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
