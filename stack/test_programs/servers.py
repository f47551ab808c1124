"""Find the programs that test the production files, or install them.

    python -m stack.test_programs.servers

Debian's and Ubuntu's packages are installed if permitted. Otherwise it reports what is missing and
succeeds: the tests that need it fail with the same message.
"""

import shutil
import subprocess
import sys

from stack.test_programs.browser import install_packages, root_command

# Program -> package.
PACKAGES = {
    "nginx": "nginx",
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "curl": "curl",
    "openssl": "openssl",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}
# Debian's PATH for users excludes servers.
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ADVICE = (
    "The production files cannot be tested without {}. "
    "Install nginx, Redis, curl, OpenSSL, Prometheus and systemd."
)


def find(program: str) -> str | None:
    """Return the path of a program, on PATH or in the servers' folders."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM)


def main() -> int:
    missing = [program for program in PACKAGES if find(program) is None]
    prefix = root_command()
    if missing and shutil.which("apt-get") and prefix is not None:
        print(
            f"Installing {', '.join(missing)}, for the tests of the production files …", flush=True
        )
        try:
            install_packages(prefix, *(PACKAGES[program] for program in missing))
        except subprocess.CalledProcessError as error:
            print(error, file=sys.stderr)
        missing = [program for program in PACKAGES if find(program) is None]
    for program in missing:
        print(ADVICE.format(program), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
