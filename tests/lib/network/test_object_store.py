"""An object store is opened by its address, and an address that names none says why."""

from pathlib import Path

import obstore
import pytest

from lib.network.object_store import open_store


def test_folder_is_created_and_holds_what_is_put(tmp_path: Path) -> None:
    address = (tmp_path / "new folder").as_uri()
    obstore.put(open_store(address), "a/b", b"text")
    assert bytes(obstore.get(open_store(address), "a/b").bytes()) == b"text"
    assert (tmp_path / "new folder/a/b").read_bytes() == b"text"


@pytest.mark.parametrize("url", ["s3://bucket/prefix", "gs://bucket/prefix"])
def test_addresses_of_providers(url: str) -> None:
    assert "bucket" in repr(open_store(url))


@pytest.mark.parametrize("url", ["", "folder", "ftp://host/x", "az://container/prefix"])
def test_address_without_store_says_why(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ValueError, match="This object store cannot be opened: ") as refused:
        open_store(url)
    assert "\n" not in str(refused.value)
