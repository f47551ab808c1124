"""The command of the wheel. Its rooms become importable for this process and for those that it
starts, and for no other program of the environment.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    root = str(Path(__file__).resolve().parent)
    sys.path.insert(0, root)
    outer = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, outer]))
    # A folder `config` where the command is typed must not take the place of ours.
    os.environ["PYTHONSAFEPATH"] = "1"
    from stack.command import main as command

    command()
