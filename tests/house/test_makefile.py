"""`make` alone says what the commands of the project are, and starts nothing."""

import re
import subprocess

from tests.house.test_style import ROOT
from tests.runner.programs import need

# What others ask for first.
INNER = {"python", "git", "gettext"}


def test_make_prints_every_verb_with_its_purpose() -> None:
    done = subprocess.run(
        [need("make"), "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    printed = re.findall(r"^make ([a-z-]+) +(\S.*)$", done.stdout, re.MULTILINE)
    [verbs] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in printed) == sorted(set(verbs.split()) - INNER)
    assert len(done.stdout.splitlines()) == len(printed)
    assert max(map(len, done.stdout.splitlines())) <= 130
