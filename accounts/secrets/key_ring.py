"""The ring of key encryption keys: which stored values need which key, and the change to a new key
while processes run.

The change rewrites only the head of a sealed value, the data key under its KEK. A row is updated
only if it still holds the value that was read; a concurrent write has sealed it with the new key
already.
"""

import hmac
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.db import connection

from accounts.models import SecretCheck
from accounts.secrets.sealing import kek, vault
from lib.database.sealed_field import SealedField
from lib.vault import (
    CHECK_PLACE,
    HEAD_BYTES_MAX,
    PREFIX_BYTES,
    Vault,
    VaultError,
    kek_id,
    split_keks,
)

SEAL_KEY_PLACE: Final = "accounts_secretcheck|1|seal_key"
_BATCH: Final = 500
FACTORS: Final = "mfa_authenticator"
"""allauth's table, which has sealed texts in its data."""


class Rotation(NamedTuple):
    """`keks` counts the secrets that each KEK has sealed, by its id; None stands for those without
    an id. `unopened` counts the secrets that no key of the ring can open, by column."""

    keks: Counter[str | None]
    unopened: Counter[str]


def seal_key() -> bytes:
    """Return the key of the seals over the books. It is derived from the first KEK of this
    database, and stored sealed once that KEK is replaced. Raises VaultError."""
    kept = SecretCheck.objects.first()
    if kept is None:
        return seal_key_of(split_keks(kek())[0])
    if kept.seal_key is None:
        return seal_key_of(vault().kek_of(bytes(kept.sealed), CHECK_PLACE).text)
    return vault().open_bytes(bytes(kept.seal_key), SEAL_KEY_PLACE)


def seal_key_of(kek_text: str) -> bytes:
    """Derive the key of the seals from a KEK."""
    return hmac.digest(kek_text.encode(), b"weir seals", "sha256")


def sealed_fields() -> list[SealedField]:
    """Return every column with sealed values. Those that a start depends on come last."""
    fields = [
        field
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, SealedField)
    ]
    return sorted(fields, key=lambda field: field.model is SecretCheck)


def rewrap_all() -> Rotation:
    """Seal the data key of every secret under the current KEK, in batches that are committed one by
    one. An interrupted run can be repeated, and other processes may write during the run. Raises
    VaultError for a ring that does not open this database's secrets."""
    _keep_seal_key()
    unopened = Counter({_name(field): _rewrap(field, vault()) for field in sealed_fields()})
    unopened[FACTORS] = _rewrap_factors(vault())
    return Rotation(count_by_kek(), +unopened)


def count_by_kek() -> Counter[str | None]:
    """Return how many secrets each KEK has sealed, by its id."""
    counts: Counter[str | None] = Counter()
    for row in Authenticator.objects.iterator():
        counts.update(kek_id(head[:PREFIX_BYTES]) for _, head in _sealed_secrets(row))
    for field in sealed_fields():
        with connection.cursor() as cursor:
            cursor.execute(_statement(_COUNT, field), [PREFIX_BYTES])
            for prefix, count in cursor.fetchall():
                counts[kek_id(bytes(prefix))] += count
    return counts


def forget_unneeded(counts: Counter[str | None]) -> SecretCheck:
    """Record which KEKs stored values still need, so that processes start without the others."""
    check = SecretCheck.objects.select_for_update().get()
    check.kek_ids = sorted({id for id in counts if id is not None} | {vault().current.id})
    check.save(update_fields=["kek_ids"])
    return check


def _keep_seal_key() -> None:
    """Store the seals' key, so that the seals over the books stay valid without their KEK."""
    kept = SecretCheck.objects.filter(seal_key=None).first()
    if kept is not None:
        sealed = vault().seal_bytes(seal_key(), SEAL_KEY_PLACE)
        SecretCheck.objects.filter(seal_key=None).update(seal_key=sealed)


def _rewrap(field: SealedField, ring: Vault) -> int:
    """Rewrap every row of a column. Return how many rows no KEK of the ring can open."""
    unopened = 0
    for rows in _batches(field, ring.current_prefix):
        changes: list[tuple[Any, ...]] = []
        for row in rows:
            try:
                before, after = ring.rewrapped(row["head"], field.place_of(row))
            except VaultError:
                unopened += 1
                continue
            key = (row[column] for column in field.key_columns)
            changes.append((after, len(before) + 1, *key, len(before), before))
        _change(field, changes)
    return unopened


def _rewrap_factors(ring: Vault) -> int:
    """Rewrap every secret of a second factor. Return how many rows no KEK of the ring can open."""
    unopened = 0
    for row in Authenticator.objects.iterator():
        data = dict(row.data)
        try:
            for name, sealed in _sealed_secrets(row):
                if sealed.startswith(ring.current_prefix):
                    continue
                before, after = ring.rewrapped(sealed, f"{FACTORS}|{row.user_id}|data")
                data[name] = b64encode(after + sealed[len(before) :]).decode()
        except VaultError:
            unopened += 1
            continue
        if data != row.data:
            Authenticator.objects.filter(pk=row.pk, data=row.data).update(data=data)
    return unopened


def _sealed_secrets(row: Authenticator) -> list[tuple[str, bytes]]:
    """Return the sealed secrets of a factor by name. allauth stores them as texts among other
    data."""
    return [(name, b64decode(row.data[name])) for name in ("secret", "seed") if name in row.data]


def _batches(field: SealedField, current: bytes) -> Iterator[list[dict[str, Any]]]:
    """Yield batches of rows that another KEK has sealed. A row has the columns except the sealed
    one, and `head`, the head of the sealed value."""
    columns = [
        str(other.column)
        for other in field.model._meta.concrete_fields
        if not isinstance(other, SealedField)
    ]
    last: Sequence[Any] = ()
    while True:
        values = ", ".join(["%s"] * len(last))
        behind = f"AND ({', '.join(field.key_columns)}) > ({values})" if last else ""
        text = _statement(_READ, field, columns=", ".join(columns), behind=behind)
        with connection.cursor() as cursor:
            cursor.execute(text, [HEAD_BYTES_MAX, PREFIX_BYTES, current, *last, _BATCH])
            rows = [dict(zip((*columns, "head"), row, strict=True)) for row in cursor.fetchall()]
        if not rows:
            return
        for row in rows:
            row["head"] = bytes(row["head"])
        yield rows
        last = [rows[-1][column] for column in field.key_columns]


def _change(field: SealedField, changes: list[tuple[Any, ...]]) -> None:
    same_row = " AND ".join(f"{column} = %s" for column in field.key_columns)
    if changes:
        with connection.cursor() as cursor:
            cursor.executemany(_statement(_CHANGE, field, same_row=same_row), changes)


def _statement(template: str, field: SealedField, **more: str) -> str:
    return template.format(
        table=field.model._meta.db_table,
        column=field.column,
        key=", ".join(field.key_columns),
        **more,
    )


def _name(field: SealedField) -> str:
    return f"{field.model._meta.db_table}.{field.column}"


_COUNT: Final = """
    SELECT substring({column} FROM 1 FOR %s), count(*)
    FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"""
_READ: Final = """
    SELECT {columns}, substring({column} FROM 1 FOR %s) FROM {table}
    WHERE substring({column} FROM 1 FOR %s) <> %s {behind} ORDER BY {key} LIMIT %s"""
_CHANGE: Final = """
    UPDATE {table} SET {column} = %s || substring({column} FROM %s)
    WHERE {same_row} AND substring({column} FROM 1 FOR %s) = %s"""
