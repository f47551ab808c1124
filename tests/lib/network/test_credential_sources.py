"""Addresses and files from which a channel's key may get temporary credentials."""

from pathlib import Path

import pytest

from lib.network.credential_sources import (
    ANSWER_BYTES_MAX,
    FileDenied,
    check_credential_source,
    read_token_file,
)
from lib.network.egress import EgressDenied, EgressPolicy

POLICY = EgressPolicy(("10.1.0.0/16",))


@pytest.mark.parametrize(
    "url", ["https://sts.example.com/x", "https://sts.example.com:8443", "http://10.1.2.3/token"]
)
def test_source_has_tls_or_an_address_that_is_listed(url: str) -> None:
    check_credential_source(POLICY, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://sts.example.com/x", "http://10.2.0.1/token", "https://a@sts.example.com",
        "ftp://sts.example.com", "https://", "https://[::1", "sts.example.com",
    ],
)  # fmt: skip
def test_other_source_is_denied(url: str) -> None:
    with pytest.raises(EgressDenied):
        check_credential_source(POLICY, url)


def test_listed_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"t" * ANSWER_BYTES_MAX)
    assert len(read_token_file(str(file), {str(file)})) == ANSWER_BYTES_MAX
    file.write_bytes(b"t" * (ANSWER_BYTES_MAX + 1))
    with pytest.raises(FileDenied, match="is no token: it is too large"):
        read_token_file(str(file), {str(file)})


def test_file_that_is_not_listed_or_not_there_is_denied(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    for path, listed, why in (
        (absent, [], "is not among the files in CLOUD_TOKEN_FILES"),
        (absent, [absent], "cannot be read: No such file or directory"),
        ("a\0b", ["a\0b"], "cannot be read: it has no such name"),
    ):
        with pytest.raises(FileDenied, match=why):
            read_token_file(path, listed)
