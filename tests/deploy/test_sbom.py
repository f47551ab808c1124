"""The list of what the image installs: whole, in its form, and signed."""

import json
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from config.version import VERSION
from stack import sbom
from tests.deploy.test_locks import PROD, installed_by


def new_key(folder: Path, name: str) -> tuple[Path, Path]:
    """As docs/operate/secure.md makes one."""
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    curve = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*curve, "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_a_signature_is_of_one_key_and_of_every_byte(tmp_path: Path) -> None:
    file = tmp_path / "sbom.cdx.json"
    file.write_text('{"bomFormat": "CycloneDX"}')
    private, public = new_key(tmp_path, "ours")
    _, other = new_key(tmp_path, "other")
    assert sbom.main(["sign", str(file), str(private)]) == 0
    assert sbom.main(["verify", str(file), str(public)]) == 0
    assert sbom.main(["verify", str(file), str(other)]) == 1
    assert verified_by_openssl(file, public)
    file.write_text('{"bomFormat": "CycloneDX" }')
    assert sbom.main(["verify", str(file), str(public)]) == 1
    assert not verified_by_openssl(file, public)


def verified_by_openssl(file: Path, public: Path) -> bool:
    raw = file.with_name("raw.sig")
    decode = [
        "openssl",
        "base64",
        "-d",
        "-A",
        "-in",
        str(sbom.signature_of(file)),
        "-out",
        str(raw),
    ]
    subprocess.run(decode, check=True)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", public, "-signature", raw, file],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.slow
def test_the_list_is_what_the_lock_installs(tmp_path: Path) -> None:
    file, again = tmp_path / "sbom.cdx.json", tmp_path / "again.cdx.json"
    assert sbom.main(["write", str(file)]) == sbom.main(["write", str(again)]) == 0
    text = file.read_text()
    assert text == again.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = json.loads(text)
    assert (
        listed["metadata"]["component"]["name"],
        listed["metadata"]["component"]["version"],
    ) == (
        "weir-hub",
        VERSION,
    )
    results = {canonicalize_name(one["name"]): one["version"] for one in listed["components"]}
    wanted = {
        name: next(iter(pin.requirement.specifier)).version
        for name, pin in installed_by(PROD).items()
    }
    assert results == wanted
    assert all(one["purl"].startswith("pkg:pypi/") for one in listed["components"])
