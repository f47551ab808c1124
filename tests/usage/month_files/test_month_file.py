"""The file of a detached month: what is altered in it is found (P22)."""

import datetime as dt
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hostile import EVERYTHING, LONG, STORABLE
from usage.month_files import file as month_file
from usage.month_files.file import (
    MonthFileBroken,
    Rows,
    check_month_file,
    digest_of,
    read_part,
    write_month_file,
)

KEY = b"key of the tests"
MARCH = dt.date(2026, 3, 1)
LINES = [f"{n}\t{text!a}\n".encode() for n, text in enumerate([*STORABLE, EVERYTHING, LONG])]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(month_file, "_PART_ROWS", 5)
    path = tmp_path / "2026-03.zip"
    tables = (Rows("usage_attempt", ["id", "model"], LINES), Rows("billing_hold", ["id"], []))
    write_month_file(path, KEY, MARCH, tables)
    return path


def test_written_file_reads_the_same(file: Path) -> None:
    manifest = check_month_file(file, KEY)
    assert manifest.month == MARCH
    assert manifest.columns == {"usage_attempt": ["id", "model"], "billing_hold": ["id"]}
    assert manifest.rows == {"usage_attempt": len(LINES), "billing_hold": 0}
    assert [part.rows for part in manifest.parts] == [5, 5, len(LINES) - 10]
    read = b"".join(b"".join(read_part(file, part)) for part in manifest.parts)
    assert read == b"".join(LINES)
    assert file.stat().st_mode & 0o077 == 0
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("step", [29, 1])
def test_every_altered_byte_is_found(file: Path, step: int) -> None:
    """Each byte changes the digest of the whole; nearly all are found by the file alone."""
    whole, digest, unnoticed = file.read_bytes(), digest_of(file), 0
    for at in range(0, len(whole), step):
        altered = bytearray(whole)
        altered[at] ^= 1
        file.write_bytes(altered)
        assert digest_of(file) != digest
        try:
            again = check_month_file(file, KEY)
            assert again.rows["usage_attempt"] == len(LINES)
        except MonthFileBroken:
            continue
        unnoticed += 1
    # Dates and rights of the members, which nothing reads.
    assert unnoticed < len(whole) / step / 4


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_truncated_file_is_found(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(MonthFileBroken):
        check_month_file(file, KEY)


def test_foreign_file_is_not_read(file: Path) -> None:
    with pytest.raises(MonthFileBroken, match="signature is not ours"):
        check_month_file(file, b"another key")
    other = file.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as packed:
        packed.writestr("manifest.json", b"{}")
    with pytest.raises(MonthFileBroken, match="no file of a month"):
        check_month_file(other, KEY)
    with pytest.raises(FileNotFoundError):
        check_month_file(file.with_name("none.zip"), KEY)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (8, 1),  # its members are encrypted
        (10, 97),  # packed in a way that no one knows
        (24, 1 << 30),  # longer than it is
        (42, 1 << 30),  # beyond the end of the file
    ],
)
def test_member_that_cannot_be_unpacked_is_damage(file: Path, place: int, value: int) -> None:
    """Whatever the archive says of its members, a damaged file is called so."""
    whole = bytearray(file.read_bytes())
    size = 2 if place < 24 else 4
    for match in re.finditer(rb"PK\x01\x02", whole):
        at = match.start() + place
        whole[at : at + size] = value.to_bytes(size, "little")
    file.write_bytes(whole)
    with pytest.raises(MonthFileBroken, match="no file of a month"):
        check_month_file(file, KEY)


def test_interrupted_writing_leaves_no_file(tmp_path: Path) -> None:
    def ends() -> Iterator[bytes]:
        yield b"1\n"
        raise RuntimeError("the database went away")

    path = tmp_path / "2026-03.zip"
    with pytest.raises(RuntimeError):
        write_month_file(path, KEY, MARCH, [Rows("usage_attempt", ["id"], ends())])
    assert list(tmp_path.iterdir()) == []
