"""Find Node.js and install the JavaScript clients that the tests drive.

    python -m stack.test_programs.javascript

Node.js is a package of Debian and Ubuntu; the clients come from the npm registry by their lock.
Exit code 1: something is still missing, and is named.
"""

import shutil
import subprocess
import sys

from stack.origin import ROOT
from stack.test_programs.apt import can_install, install_packages

CLIENTS = ROOT / "tests" / "clients_js"
ADVICE = (
    "The JavaScript clients cannot be tested without {}. Install Node.js 20 or newer with npm, "
    "then run: make test-tools"
)


def is_installed() -> bool:
    """Return whether npm's record of installed packages is at least as new as the lock."""
    stamp = CLIENTS / "node_modules" / ".package-lock.json"
    lock = CLIENTS / "package-lock.json"
    return stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime


def missing() -> str | None:
    """Return what the clients lack, in one word; None if they are ready."""
    if lacking := next((name for name in ("node", "npm") if shutil.which(name) is None), None):
        return lacking
    return None if is_installed() else "their packages"


def install() -> None:
    """Install what is missing. Raises OSError or CalledProcessError."""
    if missing() in ("node", "npm") and can_install():
        print("Installing Node.js, for the tests of the JavaScript clients …", flush=True)
        install_packages("nodejs", "npm")
    if missing() == "their packages":
        print("Installing the JavaScript clients that the tests drive …", flush=True)
        subprocess.run(["npm", "ci", "--silent"], cwd=CLIENTS, check=True)


def main() -> int:
    if missing() is None:
        return 0
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
    if lacking := missing():
        print(ADVICE.format(lacking), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
