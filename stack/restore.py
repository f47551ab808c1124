"""Restore a backup into a fresh folder, for `make run`.

    python -m stack.restore BACKUP.zip DATA_DIR

DATA_DIR contains the folder `secrets` of the installation that was backed up, and no database. The
exit code is 0 if the installation can be started there.
"""

import os
import subprocess
import sys
from pathlib import Path

from lib import env
from stack.checks import Exit, Refusal, check_layout, check_space, lock, open_data_dir
from stack.database import postgres
from stack.origin import ROOT
from stack.processes.processes import CannotStart

NEEDED = ("WEIR_KEK", "WEIR_KEY_PEPPER", "SECRET_KEY")


def check_secrets(directory: Path) -> None:
    """Raise Refusal if a secret is neither in the environment nor in the folder, and
    ConfigurationError if a file that the environment names cannot be read."""
    missing = [
        name
        for name in NEEDED
        if not env.text(name, "") and not (directory / "secrets" / name).exists()
    ]
    if missing:
        raise Refusal(
            Exit.DATA_DIR,
            f"{directory / 'secrets'} has no {missing[0]}. Copy the secrets of the installation "
            "that was backed up there first: without them nothing of it can be read.",
        )


def restore(backup: Path, directory: Path) -> int:
    """Return the exit code of the restoring command."""
    open_data_dir(directory)
    check_layout(directory)
    check_space(directory)
    check_secrets(directory)
    with lock(directory), postgres.server(directory / "postgres", durable=True) as dsn:
        environment = {**os.environ, "DATA_DIR": str(directory), "DATABASE_URL": dsn}
        environment.pop("DATABASE_URL_FILE", None)
        command = [sys.executable, str(ROOT / "manage.py"), "restore", str(backup)]
        return subprocess.run(command, env=environment, check=False).returncode


def run(backup: Path, directory: Path) -> int:
    """Restore and return the exit code. A refusal is printed."""
    try:
        return restore(backup, directory)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code
    except env.ConfigurationError as error:
        print(error, file=sys.stderr)
        return Exit.SETTING
    except CannotStart as error:
        print(error, file=sys.stderr)
        return Exit.CHILD


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    return run(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())


if __name__ == "__main__":
    sys.exit(main())
