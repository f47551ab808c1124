"""Find the programs that test the production files, or install them.

    python -m stack.test_programs.servers

They are packages of Debian and Ubuntu, which start nginx, Caddy, Redis and Prometheus as services
once they are installed. Exit code 1: something is still missing, and is named.
"""

import shutil
import subprocess
import sys

from stack.test_programs.apt import can_install, install_packages

# Program -> package.
PACKAGES = {
    "nginx": "nginx",
    "caddy": "caddy",
    # An authority that gives out certificates to the test's own Caddy.
    "pebble": "pebble",
    "pebble-challtestsrv": "pebble",
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
    "Install nginx, Caddy, Pebble, Redis, curl, OpenSSL, Prometheus and systemd."
)


def find(program: str) -> str | None:
    """Return the path of a program, on PATH or in the servers' folders."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM)


def main() -> int:
    missing = [program for program in PACKAGES if find(program) is None]
    if missing and can_install():
        print(
            f"Installing {', '.join(missing)}, for the tests of the production files …", flush=True
        )
        try:
            install_packages(*dict.fromkeys(PACKAGES[program] for program in missing))
        except (OSError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
        missing = [program for program in PACKAGES if find(program) is None]
    for program in missing:
        print(ADVICE.format(program), file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
