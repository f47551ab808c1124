"""Exit code 0 when the worker or the scheduler of this container has shown that it works, by the
file that HEARTBEAT_FILE names (config/jobs/heartbeat.py), in the last so many seconds.

    python -m deploy.alive 300
"""

import os
import sys
import time
from pathlib import Path


def is_alive(file: Path, seconds: float) -> bool:
    try:
        return time.time() - file.stat().st_mtime <= seconds
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    if not os.environ.get("HEARTBEAT_FILE"):
        sys.exit("HEARTBEAT_FILE is not set. Name the file that the worker or scheduler renews.")
    sys.exit(not is_alive(Path(os.environ["HEARTBEAT_FILE"]), float(sys.argv[1])))
