"""One web process: uvicorn, ended with exit code 0 by the signal that asks it to stop.

    python -m deploy.exit_zero config.asgi:application [uvicorn's options]

Having drained and closed, uvicorn sends itself the signal again, which would end it like a process
that was killed: an operator could not tell the two apart.
"""

import signal
import sys
from types import FrameType

from uvicorn.main import main

# The log is JSON before uvicorn sets up its own.
import config  # noqa: F401


def leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    main()
