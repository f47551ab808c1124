"""Install the programs that tests drive, where they are missing: Chromium, nginx, Caddy,
Pebble, Redis, curl, OpenSSL, Prometheus, systemd, Helm, and Node.js with the JavaScript clients.

    python -m stack.test_programs

Without root it asks before it uses sudo. Exit code 1: something is still missing; the tests that
need it are skipped by `make test`, and fail with ALL=1 or CI=true.
"""

import sys

from stack.test_programs import browser, helm, javascript, servers

if __name__ == "__main__":
    sys.exit(max(part.main() for part in (browser, servers, helm, javascript)))
