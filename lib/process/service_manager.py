"""Word to the service manager: that this process serves, and that it still runs.

systemd's protocol (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names, by its path or,
behind an @, by its abstract name. Without NOTIFY_SOCKET nothing is sent.
"""

import os
import socket
from typing import Final

EVERY_S: Final = 10
"""How often a loop says that it runs; WatchdogSec= of every unit is longer."""


def is_there() -> bool:
    """Return whether a service manager listens."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def notify_alive() -> None:
    """Notify the service manager that this process serves. If the manager does not listen now, the
    next call notifies it."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(b"READY=1\nWATCHDOG=1", address)
        except OSError:
            # The watchdog ends a process that is never heard.
            return
