"""How the texts of a batch are written."""

from collections.abc import Sequence

import pytest

from lib.ids import AttemptId, OrganisationId, PriceVersionId, id_array, new_id, new_ids
from usage.records.sql import AddressNoted, Ending, RecordWritten, note_addresses, write_records


@pytest.mark.parametrize(
    ("texts", "literal"),
    [
        (["a"], '{"a"}'),
        (["", "b", ""], '{"","b",""}'),
        (['"', "\\", "a,b}{"], '{"\\"","\\\\","a,b}{"}'),
        (["null", 'a\\"'], '{"null","a\\\\\\""}'),
        # The database has no place for NUL: neither alone, nor beside others.
        (["\0"], '{""}'),
        (["a\0b", "c", "\0\0"], '{"ab","c",""}'),
    ],
)
def test_texts_are_quoted(texts: Sequence[str], literal: str) -> None:
    _, parameters = note_addresses([AddressNoted(new_id(), new_id(), text) for text in texts])
    assert parameters["addresses"] == literal


def test_what_lacks_is_null() -> None:
    endings = [
        Ending(final=True, status=200, raw_usage='{"a": "\0"}', flags=("x", "y")),
        Ending(
            final=False, status=500, kind="internal", total_ms=7, price_version_id=PriceVersionId(3)
        ),
    ]
    records = [
        RecordWritten(
            organisation_id=OrganisationId(new_id()),
            attempt_id=AttemptId(new_id()),
            ending=ending,
        )
        for ending in endings
    ]
    _, parameters = write_records(records)
    assert parameters["raw_usages"] == '{"{\\"a\\": \\"\\"}",null}'
    assert parameters["flags"] == '{"x,y",""}'
    assert parameters["finals"] == "{True,False}"
    assert parameters["kinds"] == "{null,internal}"
    assert parameters["totals"] == "{null,7}"
    assert parameters["price_versions"] == "{null,3}"
    assert parameters["dropped"] == "{}"


def test_ids_are_written_without_hyphens() -> None:
    ids = new_ids(3)
    assert id_array(ids) == "{" + ",".join(id.hex for id in ids) + "}"
    assert id_array([]) == "{}"
