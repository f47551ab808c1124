"""Rewrites the assertions of test files beside the process that collects them.

pytest collects one file after another, and rewrites each that it has not seen. In a fresh clone
that is a third of what collecting takes. Meanwhile the second core has little to do: a process
there begins with the last file, and ends where it meets a file that is done.
"""

from collections.abc import Iterable
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pytest
from _pytest.assertion import rewrite

ROOT: Final = Path(__file__).parents[2]
_FORK: Final = get_context("fork")


def begin(config: pytest.Config) -> None:
    """Begin with the last file of all tests, unless assertions stay as they are."""
    if rewrite.assertstate_key not in config.stash:
        return
    files = sorted(ROOT.glob("tests/**/test_*.py"), reverse=True)
    _FORK.Process(target=rewrite_each, args=(config, files), daemon=True).start()


def rewrite_each(config: pytest.Config, files: Iterable[Path]) -> None:
    """Rewrite the files, up to the first that is done. pytest finds what it would have written."""
    state = config.stash[rewrite.assertstate_key]
    for file in files:
        folder = rewrite.get_cache_dir(file)
        written = folder / f"{file.stem}{rewrite.PYC_TAIL}"
        if rewrite._read_pyc(file, written) or not rewrite.try_makedirs(folder):
            return
        source_hash, code = rewrite._rewrite_test(file, config)
        rewrite._write_pyc(state, code, source_hash, written)
