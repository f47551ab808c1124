"""The image of this tree, for all tests of a run that start processes from it."""

import fcntl
from pathlib import Path

import pytest

from tests.deploy.shape import Shape
from tests.deploy.test_files import GIVEN


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Its folder, which the first worker that needs it builds."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(pytestconfig, "workerinput"):
        folder = folder.parent
    shape = Shape(folder / "shape", GIVEN, "")
    done = folder / "shape.built"
    with (folder / "shape.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shape.build()
            done.touch()
    return shape.image
