"""Hatchling's build hook: `pip install .` builds what `make wheel` builds, from a clone or a source
distribution.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Hatchling loads this file alone, and subprocesses of the build look for the rooms here.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stack.wheels import sources


class Hook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        tree = Path(self._folder.name)
        if self.target_name == "sdist":
            name = "commit"
            (tree / name).write_text(sources.commit())
        else:
            # What it imports is installed for the build of a wheel only.
            from stack.wheels import build

            name = build.PACKAGE
            build.lay_out_hub(tree / name)
        build_data["force_include"][str(tree / name)] = name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._folder.cleanup()
