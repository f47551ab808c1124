"""The hub on a machine whose clock is two minutes fast: for `Hub(application=…)`."""

import time

_right = time.time
time.time = lambda: _right() + 120

from config.asgi import application  # noqa: E402

__all__ = ["application"]
