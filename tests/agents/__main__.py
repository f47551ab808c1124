"""Install the coding agents by their lock, and run their tests where no network is but loopback.

python -m tests.agents [arguments of pytest]
"""

import os
import shutil
import signal
import subprocess
import sys

from stack.test_programs import javascript
from tests.agents.terminal import PACKAGES

ADVICE = "The coding agents cannot be tested without {}: they run in a network namespace of Linux."
# Whoever is not root gets the right to bring loopback up, and no other uid.
AS_MYSELF = ["--map-current-user", "--keep-caps"]
WITH_LOOPBACK = 'ip link set lo up && exec "$@"'


def install() -> None:
    """Install the agents unless npm's record is as new as the lock. Raises CalledProcessError."""
    record = PACKAGES / "node_modules" / ".package-lock.json"
    lock = PACKAGES / "package-lock.json"
    if not record.exists() or record.stat().st_mtime < lock.stat().st_mtime:
        sys.stdout.write("Installing the coding agents, 1 GB …\n")
        sys.stdout.flush()
        # `npm ci` wants what is for other systems in the lock too, and some of it is not published.
        subprocess.run(["npm", "install", "--no-save", "--silent"], cwd=PACKAGES, check=True)


def main() -> int:
    lacking = next((name for name in ("unshare", "ip", "npm") if not shutil.which(name)), None)
    if lacking is not None:
        advice = javascript.ADVICE if lacking == "npm" else ADVICE
        sys.stderr.write(advice.format(lacking) + "\n")
        return 1
    install()
    rights = [] if os.geteuid() == 0 else AS_MYSELF
    # A shell starts what runs in the background with Ctrl-C ignored, and the agents inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    arguments = sys.argv[1:] or ["tests/agents"]
    os.execvp("unshare", [
        "unshare", "--net", *rights, "sh", "-c", WITH_LOOPBACK, "sh",
        sys.executable, "-m", "pytest", "-m", "agents", *arguments,
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
