"""The image is small: what its Dockerfile puts in, compressed as a registry keeps it."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import sbom
from tests.deploy.shape import Shape
from tests.deploy.test_files import GIVEN

pytestmark = pytest.mark.slow

IMAGE_BYTES_MAX = 250 * 10**6
# What is left to the base, python:slim, which only a registry can tell the size of.
BASE_BYTES_MAX = 60 * 10**6


class Counter(io.RawIOBase):
    """Counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        written = memoryview(data).nbytes  # type: ignore[arg-type]
        self.bytes += written
        return written


def compressed(folder: Path) -> int:
    counter = Counter()
    with (
        gzip.GzipFile(fileobj=counter, mode="wb", compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        archive.add(folder, arcname=".")
    return counter.bytes


def test_the_image_has_at_most_250_mb(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Its packages from their lock, and our files by the steps of the Dockerfile."""
    packages = tmp_path / "venv"
    sbom.install(packages)
    shape = Shape(tmp_path, GIVEN, "")
    shape.build()
    layers = {"packages": compressed(packages), "app": compressed(shape.image)}
    record_property("layer_bytes", layers)
    # It is all there.
    assert (shape.image / "staticfiles").is_dir()
    assert layers["packages"] > layers["app"] > 10**6
    assert sum(layers.values()) <= IMAGE_BYTES_MAX - BASE_BYTES_MAX, layers
