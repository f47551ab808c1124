"""Write an SBOM (CycloneDX) of the image's packages, and sign or verify it.

    python -m stack.sbom write FILE            of requirements-prod.lock, for this platform
    python -m stack.sbom sign FILE KEY         FILE.sig, by an ECDSA key (P-256, PEM)
    python -m stack.sbom verify FILE PUBLIC    exit code 1 unless FILE.sig is of that key

The packages are installed from the lock, each by its hash, into a separate folder and listed there.
So the list has the packages that an image gets, with licences, not those that a file requests. It
is validated against CycloneDX's schema before it is written, and is reproducible for a commit.

The signature has the form of `cosign sign-blob --key`, in base64: `cosign verify-blob --key` and
`openssl dgst -verify` accept it too.
"""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-prod.lock"


def write(target: Path) -> None:
    """Write the list. Raises CalledProcessError if it cannot be created, or does not match its
    schema.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder) / "venv")
        environment = {**os.environ, "SOURCE_DATE_EPOCH": commit_time()}
        subprocess.run(
            [
                *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
                *(
                    "--spec-version",
                    "1.6",
                    "--validate",
                    "--pyproject",
                    str(ROOT / "pyproject.toml"),
                ),
                *("--output-file", str(target), str(python)),
            ],
            env=environment,
            check=True,
        )


def install(folder: Path) -> Path:
    """Install only the packages of the lock; return the folder's Python."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    subprocess.run(
        [
            *(uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:"),
            *("--python", str(python), str(LOCK)),
        ],
        check=True,
    )
    return python


def commit_time() -> str:
    """Return the time of the commit, in Unix seconds."""
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def signature_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.sig")


def sign(file: Path, key: Path) -> None:
    """Write the signature beside the file. Raises ValueError for a key that is not ECDSA."""
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key} is no ECDSA key.")
    signature = private.sign(file.read_bytes(), ec.ECDSA(hashes.SHA256()))
    signature_of(file).write_bytes(base64.b64encode(signature))


def verify(file: Path, key: Path) -> bool:
    """Return whether the signature beside the file is valid for this public key and these bytes.
    Raises ValueError for a key that is not ECDSA."""
    public = serialization.load_pem_public_key(key.read_bytes())
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ValueError(f"{key} is no ECDSA key.")
    signature = base64.b64decode(signature_of(file).read_bytes())
    try:
        public.verify(signature, file.read_bytes(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write", file]:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            write(Path(file))
        case ["sign", file, key]:
            sign(Path(file), Path(key))
        case ["verify", file, key]:
            valid = verify(Path(file), Path(key))
            print("The signature is valid." if valid else "The signature is NOT valid.")
            return 0 if valid else 1
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
