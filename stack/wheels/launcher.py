"""The command of the wheel. It makes the rooms importable for this process and its children only,
not for other programs of the environment.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    root = str(Path(__file__).resolve().parent)
    sys.path.insert(0, root)
    outer = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, outer]))
    # A folder `config` in the current directory must not replace ours.
    os.environ["PYTHONSAFEPATH"] = "1"
    from stack.command import main as command

    command()
