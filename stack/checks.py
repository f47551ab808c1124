"""Checks before anything is started, each with its own message and exit code. A refusal names the
cause and the next step, because it is the first thing a newcomer reads.
"""

import fcntl
import os
from enum import IntEnum
from pathlib import Path
from typing import IO

from stack.origin import start_line

LAYOUT = 1
FREE_BYTES_MIN = 256 * 1024**2


class Exit(IntEnum):
    """The exit codes of stack.up; stack/install.py has 10 to 19."""

    DATA_DIR = 20
    NEWER_DATA = 21
    PORT = 22
    NO_SPACE = 23
    RUNNING = 24
    CHILD = 25
    SETTING = 26


class Refusal(Exception):
    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


def open_data_dir(directory: Path) -> None:
    """Create the folders of DATA_DIR, for its owner only, and check that they are writable."""
    try:
        for folder in (directory, directory / "run", directory / "secrets"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / "run" / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Refusal(
            Exit.DATA_DIR,
            f"The data folder {directory} cannot be written: {error.strerror}. "
            f"Choose another one: {start_line(data='/path/to/folder')}",
        ) from error


def check_layout(directory: Path) -> bool:
    """Refuse data of a newer Weir, and mark new data with this version's layout. Return whether the
    data is new.
    """
    mark = directory / "layout"
    try:
        version = mark.read_text().strip()
    except FileNotFoundError:
        mark.write_text(f"{LAYOUT}\n")
        return True
    if not version.isdecimal() or int(version) > LAYOUT:
        raise Refusal(
            Exit.NEWER_DATA,
            f"{directory} was written by a newer Weir (data layout {version}, this one knows up to "
            f"{LAYOUT}). Update Weir, or start fresh with another folder: "
            f"{start_line(data='/path/to/folder')}",
        )
    return False


def check_space(directory: Path) -> None:
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize
    if free < FREE_BYTES_MIN:
        raise Refusal(
            Exit.NO_SPACE,
            f"{directory} has {free // 1024**2} MB free, at least "
            f"{FREE_BYTES_MIN // 1024**2} MB are needed. "
            "Free some space, or choose a folder on another disk: "
            f"{start_line(data='/path/to/folder')}",
        )


def lock(directory: Path) -> IO[str]:
    """Lock DATA_DIR for this process until the returned file is closed, or the process ends."""
    file = (directory / "run" / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise Refusal(
            Exit.RUNNING,
            f"Weir is already running on {directory} (process {holder or 'unknown'}). "
            f"Stop it first (kill {holder or 'PID'}), or start a second one: "
            f"{start_line(data='/path/to/folder', port='NUMBER')}",
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
