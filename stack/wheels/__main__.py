"""Build the wheels `weir-hub` and `llm-dialects` into build/wheels.

    python -m stack.wheels             build both
    python -m stack.wheels release     build and check them, and say what to type to upload them

The same commit gives the same bytes; SOURCE_DATE_EPOCH replaces the time of the commit.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from stack.origin import ROOT
from stack.wheels.build import build_dialects, build_hub
from stack.wheels.sources import git

TARGET = ROOT / "build" / "wheels"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["release"]):
        print(__doc__, file=sys.stderr)
        return 2
    os.environ.setdefault("SOURCE_DATE_EPOCH", git("log", "-1", "--format=%ct").strip())
    wheels = [build_hub(TARGET), build_dialects(TARGET)]
    for wheel in wheels:
        print(f"{wheel.relative_to(ROOT)}  {wheel.stat().st_size / 1e6:.1f} MB")
    return release(wheels) if arguments else 0


def release(wheels: list[Path]) -> int:
    """Check the wheels and the tree, and print the upload command. The owner uploads."""
    names = [str(wheel) for wheel in wheels]
    if subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *names]).returncode:
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if "Source" not in project.get("urls", {}):
        print(
            "The package's page would have no link to its source. Name the repository's address in "
            'pyproject.toml:\n\n[project.urls]\nSource = "https://…"',
            file=sys.stderr,
        )
        return 1
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        print(f"Not committed, so not to be released:\n{changed}", file=sys.stderr)
        return 1
    version = wheels[0].name.split("-")[1]
    print(
        f"\nTo release {version}, type:\n\n"
        f"  git tag v{version} && git push origin v{version}\n"
        f"  {sys.executable} -m twine upload {' '.join(names)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
