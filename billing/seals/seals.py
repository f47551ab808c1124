"""Seals over rows that are written once, in the ledger and the trail. Computing them again finds
every edit, deletion, reordering and missing end (P22).

A seal covers all rows of a span of time, from the end of the previous seal. Its code is an HMAC
over the previous seal's code and its own span, number of rows and digest, with a key that is not in
the database. Seals are made apart from requests: a span is sealed once no running transaction can
still write into it. Statements and transactions handle a bounded number of rows, however many there
are.

The digest covers the rows as JSON in UTF-8. The form of a seal says which columns it covers. The
third form has no postings with lines of their own, which did not exist then. The second form also
lacks the origin of the trail's events. The first form also has each backslash halved, and covers no
row with a backslash that is not itself text.

The oldest rows may be deleted at the end of a seal, together with the seals over them
(billing/seals/audit_retention.py). The chain then begins at a signed cut.

After an erasure (billing/seals/rewrites.py) a seal keeps its code, on which the next seal builds.
It gets the digest of its new rows, and our signature of both.
"""

import datetime as dt
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.db import connection, transaction

from billing.models import Seal, SealCut, SealKind
from billing.seals.spans import BEGINNING, Cursor, spans
from lib.database.advisory_locks import AdvisoryLock
from lib.database.postgres_tools import BACKUP_NAME
from lib.database.session import only_look_ups

LOCK: Final = f"SELECT pg_advisory_xact_lock({AdvisoryLock.SEALS})"
"""The lock for making, cutting and rewriting seals, held until the transaction ends."""
# The most rows of one seal; and the rows that are read at a time, as a text of some megabytes.
_SEALED_ROWS: Final = 100_000
_READ_ROWS: Final = 10_000
# The most seals of a part of the chain, however few rows they have.
_PART_SEALS: Final = 200
# The job runs again within a minute.
_RUN_S: Final = 40
# A quiet installation is sealed too, so that a deleted end is noticed.
_QUIET: Final = dt.timedelta(hours=1)
_FRESH: Final = dt.timedelta(hours=3)
# A long transaction may delay a seal. Rows that stay unsealed longer are reported.
_UNSEALED: Final = dt.timedelta(minutes=10)
# The prefix of everything that is signed: for new seals, and for those of older forms.
_FORM: Final = b"4|"
_THIRD_FORM: Final = b"3|"
_SECOND_FORM: Final = b"2|"
_FIRST_FORM: Final = b""
_FORMS: Final[Mapping[int, tuple[bytes, ...]]] = {
    4: (_FORM,),
    3: (_THIRD_FORM,),
    2: (_SECOND_FORM, _FIRST_FORM),
}
_CUT_FORM: Final = b"cut|"
_REWRITTEN_FORM: Final = b"rewritten|"


Sealed = tuple[bytes, str, dt.datetime, dt.datetime, int, bytes]
"""What a code signs: the previous code, the kind, the span, the number of rows, the digest."""


class Broken(NamedTuple):
    """A broken seal, and the reason."""

    kind: str
    seal_id: int
    problem: str


class SealsBehind(Exception):
    """Rows were not sealed in time, so an edit of them would not be noticed."""


def seal_all(key: bytes, until: dt.datetime | None = None) -> int:
    """Make all seals that are possible now, or up to `until`. Return how many.

    If several processes call this, one makes the seals. Raises SealsBehind if rows should have been
    sealed and were not.
    """
    with only_look_ups(), connection.cursor() as cursor:
        count = sum(_seal_kind(kind, key, until) for kind in SealKind.values)
        behind = find_unsealed(cursor) if until is None else []
    if behind:
        raise SealsBehind("; ".join(f"{seal.kind}: {seal.problem}" for seal in behind))
    return count


def _seal_kind(kind: str, key: bytes, until: dt.datetime | None) -> int:
    """Seal one span after the other, each in its own transaction. Return how many."""
    count, began = 0, time.monotonic()
    with connection.cursor() as cursor:
        settled_at, _ = horizon(cursor)
        end = settled_at if until is None else min(settled_at, until)
        for _, to_at in spans(cursor, kind, _end(_last_seal(kind)), end, _SEALED_ROWS):
            with transaction.atomic():
                cursor.execute(LOCK)
                count += _seal(cursor, kind, key, to_at)
            if time.monotonic() - began > _RUN_S:
                break
    return count


def find_unsealed(cursor: Cursor) -> list[Broken]:
    """Return the kinds of seals that lag: rows exist that should have been sealed by now."""
    broken: list[Broken] = []
    for kind in SealKind.values:
        cursor.execute(_OLDEST_UNSEALED[kind], {"within": _UNSEALED})
        ((oldest,),) = cursor.fetchall()
        if oldest is not None:
            broken.append(Broken(kind, 0, f"rows since {oldest.isoformat()} are not sealed"))
    return broken


def broken_seals(cursor: Cursor, key: bytes) -> list[Broken]:
    """Return every broken seal, and the end of the chain if the last seal is missing."""
    broken: list[Broken] = []
    for kind in SealKind.values:
        broken += broken_chain(cursor, key, kind)
    return broken + find_unsealed(cursor)


def broken_chain(
    cursor: Cursor, key: bytes, kind: str, before: dt.datetime | None = None
) -> list[Broken]:
    """Return the broken seals of one kind; with `before`, only of seals that end by that
    instant."""
    stands_on, broken = _beginning(cursor, key, kind)
    cursor.execute(_SEALS, {"kind": kind, "before": before, "after": 0, "limit": None})
    for seal in cursor.fetchall():
        broken += _broken_seal(cursor, key, kind, stands_on, seal)
        stands_on = bytes(seal[5]), seal[2]
    return broken + ([] if before else _missing_end(cursor, kind, stands_on[1]))


def broken_part(
    cursor: Cursor, key: bytes, kind: str, after_id: int, rows_max: int
) -> tuple[list[Broken], int | None]:
    """Return the broken seals after the seal `after_id`, until `rows_max` rows were read, and the
    id of the last checked seal, None at the end of the chain."""
    broken: list[Broken] = []
    cursor.execute(_SEAL, {"kind": kind, "id": after_id})
    known = [(bytes(code), to_at) for code, to_at in cursor.fetchall()]
    if known:
        (stands_on,) = known
    else:
        stands_on, broken = _beginning(cursor, key, kind)
        after_id = 0
    seals = {"kind": kind, "before": None, "after": after_id, "limit": _PART_SEALS}
    cursor.execute(_SEALS, seals)
    rows = 0
    for seal in cursor.fetchall():
        broken += _broken_seal(cursor, key, kind, stands_on, seal)
        after_id, stands_on = seal[0], (bytes(seal[5]), seal[2])
        rows += seal[3]
        if rows >= rows_max:
            return broken, after_id
    cursor.execute(_SEALS, {**seals, "after": after_id, "limit": 1})
    if cursor.fetchall():
        return broken, after_id
    return broken + _missing_end(cursor, kind, stands_on[1]), None


def _broken_seal(
    cursor: Cursor, key: bytes, kind: str, stands_on: tuple[bytes, dt.datetime], seal: Any
) -> list[Broken]:
    """Return the faults of one seal. `stands_on` is the code and the end of the previous seal."""
    id, from_at, to_at, rows, digest, stored, number, rewritten = seal
    (code, until), broken = stands_on, []
    if from_at != until:
        broken.append(Broken(kind, id, f"begins at {from_at}, expected {until}"))
    sealed = (code, kind, from_at, to_at, rows, bytes(digest))
    form = _form_of(key, sealed, bytes(stored), number, rewritten)
    counted, again = _digest(cursor, kind, from_at, to_at, _FORM if form is None else form)
    if (counted, again) != (rows, bytes(digest)):
        span = f"{from_at.isoformat()} to {to_at.isoformat()}"
        broken.append(Broken(kind, id, f"{counted} rows of {span} are not the {rows} sealed"))
    if form is None:
        broken.append(Broken(kind, id, "its code is not ours"))
    return broken


def _missing_end(cursor: Cursor, kind: str, until: dt.datetime) -> list[Broken]:
    cursor.execute("SELECT now()")
    ((now,),) = cursor.fetchall()
    if until != BEGINNING and now - until > _FRESH:
        return [Broken(kind, 0, f"nothing is sealed since {until.isoformat()}")]
    return []


def sign_rewritten(key: bytes, sealed: Sealed, code: bytes) -> bytes:
    """Return the signature of a seal whose rows were rewritten. `code` is the seal's own code."""
    return _code(key, _REWRITTEN_FORM + code + b"|", *sealed)


def read_sealed(cursor: Cursor, key: bytes, seal: Seal) -> Sealed | None:
    """Return the sealed data if the seal's rows are unchanged, else None."""
    sealed = _read_sealed(seal)
    rewritten = None if seal.rewritten is None else bytes(seal.rewritten)
    form = _form_of(key, sealed, bytes(seal.code), seal.form, rewritten)
    if form is None or _digest(cursor, seal.kind, seal.from_at, seal.to_at, form) != sealed[4:]:
        return None
    return sealed


def seal_rewritten(cursor: Cursor, key: bytes, seal: Seal, sealed: Sealed) -> None:
    """Sign a valid seal's rows again after an erasure has rewritten them. Runs in the caller's
    transaction, which holds the lock of the seals."""
    rows, digest = _digest(cursor, seal.kind, seal.from_at, seal.to_at, _FORM)
    if rows != seal.rows:
        raise RuntimeError(f"seal {seal.pk} covers {seal.rows} rows, not {rows}")
    signature = sign_rewritten(key, (*sealed[:4], rows, digest), bytes(seal.code))
    cursor.execute(_REWRITE, {"id": seal.pk, "digest": digest, "rewritten": signature})


def _form_of(
    key: bytes, sealed: Sealed, stored: bytes, number: int, rewritten: bytes | None
) -> bytes | None:
    """Return the form in which a seal's rows are read. Return None if its code or signature is not
    ours."""
    if rewritten is not None:
        return _FORM if _is_equal_code(rewritten, sign_rewritten(key, sealed, stored)) else None
    forms = _FORMS.get(number, ())
    return next((form for form in forms if _is_equal_code(stored, _code(key, form, *sealed))), None)


def _read_sealed(seal: Seal) -> Sealed:
    before = Seal.objects.filter(kind=seal.kind, id__lt=seal.pk).order_by("-id").first()
    stands_on = before or SealCut.objects.filter(kind=seal.kind).first()
    code = bytes(stands_on.code) if stands_on else b""
    return (code, seal.kind, seal.from_at, seal.to_at, seal.rows, bytes(seal.digest))


def sign_cut(key: bytes, kind: str, until: dt.datetime, code: bytes) -> bytes:
    """Return the signature of a cut."""
    text = _CUT_FORM + b"|".join([kind.encode(), _instant(until).encode(), code])
    return hmac.new(key, text, hashlib.sha256).digest()


def _beginning(
    cursor: Cursor, key: bytes, kind: str
) -> tuple[tuple[bytes, dt.datetime], list[Broken]]:
    """Return the beginning of the chain: a code, the instant from which rows are sealed, and
    faults."""
    cursor.execute(_CUT, {"kind": kind})
    for until, code, signature in cursor.fetchall():
        start = bytes(code), until
        if not _is_equal_code(signature, sign_cut(key, kind, until, bytes(code))):
            return start, [Broken(kind, 0, f"the cut at {until.isoformat()} is not ours")]
        cursor.execute(_OLDEST[kind])
        ((oldest,),) = cursor.fetchall()
        if oldest is not None and oldest < until:
            problem = f"a row of {oldest.isoformat()} stands before the cut at {until.isoformat()}"
            return start, [Broken(kind, 0, problem)]
        return start, []
    return (b"", BEGINNING), []


def horizon(cursor: Cursor) -> tuple[dt.datetime, dt.datetime]:
    """Return the instant before which all rows are written, and the present time."""
    cursor.execute(_HORIZON)
    ((settled_at, now),) = cursor.fetchall()
    return settled_at, now


def _last_seal(kind: str) -> Seal | SealCut | None:
    """Return what the next seal builds on: the last seal, or else the cut."""
    last = Seal.objects.filter(kind=kind).order_by("-id").first()
    return last or SealCut.objects.filter(kind=kind).first()


def _end(stands_on: Seal | SealCut | None) -> dt.datetime:
    if stands_on is None:
        return BEGINNING
    return stands_on.to_at if isinstance(stands_on, Seal) else stands_on.until


def _seal(cursor: Cursor, kind: str, key: bytes, to_at: dt.datetime) -> int:
    """Seal the unsealed rows up to an instant after which rows may still be added. Return 1, or 0
    if there was nothing to seal."""
    stands_on = _last_seal(kind)
    from_at = _end(stands_on)
    if to_at <= from_at:
        return 0
    rows, digest = _digest(cursor, kind, from_at, to_at, _FORM)
    if not rows and isinstance(stands_on, Seal) and to_at - from_at < _QUIET:
        return 0
    before = bytes(stands_on.code) if stands_on else b""
    code = _code(
        key=key,
        form=_FORM,
        before=before,
        kind=kind,
        from_at=from_at,
        to_at=to_at,
        rows=rows,
        digest=digest,
    )
    Seal.objects.create(
        kind=kind, from_at=from_at, to_at=to_at, rows=rows, digest=digest, code=code, form=4
    )
    return 1


def _digest(
    cursor: Cursor, kind: str, from_at: dt.datetime, to_at: dt.datetime, form: bytes
) -> tuple[int, bytes]:
    """Return the number of rows of a span, and the digest over their contents."""
    query = _JOINED.format(lines=_sealed_lines(kind, form))
    total, digest = 0, hashlib.sha256()
    # The parts one after another give the lines of the whole span.
    for part_from, part_to in spans(cursor, kind, from_at, to_at, _READ_ROWS):
        cursor.execute(query, {"from": part_from, "to": part_to})
        ((rows, text),) = cursor.fetchall()
        if form == _FIRST_FORM:
            if "\\" in text.replace("\\\\", ""):
                # A single backslash is an escape, which this form cannot represent.
                return total + rows, b""
            text = text.replace("\\\\", "\\")
        if rows:
            digest.update(b"\n" if total else b"")
            digest.update(text.encode())
        total += rows
    return total, digest.digest()


def _sealed_lines(kind: str, form: bytes) -> str:
    if kind == SealKind.LEDGER and form != _FORM:
        return _LINES_OF_THEIR_OWN
    if kind == SealKind.TRAIL and form in (_SECOND_FORM, _FIRST_FORM):
        return _LINES_WITHOUT_ORIGIN
    return _LINES[kind]


def _is_equal_code(stored: bytes, code: bytes) -> bool:
    return hmac.compare_digest(code, bytes(stored))


def _code(
    key: bytes,
    form: bytes,
    before: bytes,
    kind: str,
    from_at: dt.datetime,
    to_at: dt.datetime,
    rows: int,
    digest: bytes,
) -> bytes:
    span = "|".join([kind, _instant(from_at), _instant(to_at)])
    text = form + before + span.encode() + b"|%d|" % rows + digest
    return hmac.new(key, text, hashlib.sha256).digest()


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat()


# Rows have the time at which their transaction began, so no older transaction may still run. A
# backup writes no rows and may run for hours.
_HORIZON: Final = f"""
    SELECT least(now() - interval '1 second', min(xact_start)), now() FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND (application_name IS DISTINCT FROM '{BACKUP_NAME}' OR backend_xid IS NOT NULL)"""  # noqa: S608

_SEALS: Final = """
    SELECT id, from_at, to_at, rows, digest, code, form, rewritten FROM billing_seal
    WHERE kind = %(kind)s AND (%(before)s::timestamptz IS NULL OR to_at <= %(before)s)
      AND id > %(after)s
    ORDER BY id LIMIT %(limit)s"""

_SEAL: Final = "SELECT code, to_at FROM billing_seal WHERE kind = %(kind)s AND id = %(id)s"

_REWRITE: Final = """
    UPDATE billing_seal SET digest = %(digest)s, rewritten = %(rewritten)s WHERE id = %(id)s"""

_CUT: Final = "SELECT until, code, signature FROM billing_sealcut WHERE kind = %(kind)s"

_OLDEST: Final[Mapping[str, str]] = {
    "ledger": "SELECT min(created_at) FROM billing_posting",
    "trail": "SELECT min(at) FROM accounts_auditevent",
}

_OLDEST_UNSEALED: Final[Mapping[str, str]] = {
    "ledger": """
        SELECT min(created_at) FROM billing_posting
        WHERE created_at < now() - %(within)s AND created_at >= coalesce(
            (SELECT max(to_at) FROM billing_seal WHERE kind = 'ledger'), '-infinity')""",
    "trail": """
        SELECT min(at) FROM accounts_auditevent
        WHERE at < now() - %(within)s AND at >= coalesce(
            (SELECT max(to_at) FROM billing_seal WHERE kind = 'trail'), '-infinity')""",
}

_JOINED: Final = r"""
    SELECT count(*) AS rows, coalesce(string_agg(line, E'\n' ORDER BY at, id), '') AS text
    FROM ({lines}) lines"""

_HEAD: Final = """
            posting.id, posting.idempotency_id, posting.kind, posting.organisation_id,
            posting.cause, posting.actor, extract(epoch FROM posting.created_at)"""
_STORED: Final = """
            (SELECT jsonb_agg(jsonb_build_array(line.id, line.account_id, line.amount_nano)
                              ORDER BY line.id)
             FROM billing_ledgerline line WHERE line.posting_id = posting.id)"""
_LINES: Final[Mapping[str, str]] = {
    "ledger": f"""
        SELECT posting.created_at AS at, posting.id, jsonb_build_array(
            {_HEAD}, {_STORED}, posting.attempt_id, posting.account_ids, posting.amounts_nano,
            posting.entry_id)::text AS line
        FROM billing_posting posting
        WHERE posting.created_at >= %(from)s AND posting.created_at < %(to)s""",  # noqa: S608 - only constants are put in
    "trail": """
        SELECT event.at, event.id, jsonb_build_array(
            event.id, extract(epoch FROM event.at), event.actor_user_id, event.actor_key,
            event.organisation_id, event.action, event.object_type, event.object_id,
            event.detail, event.address, event.client, event.session,
            event.request_id, event.reason)::text AS line
        FROM accounts_auditevent event
        WHERE event.at >= %(from)s AND event.at < %(to)s""",
}

# Postings of that time have none of these columns. A row with one was edited.
_LINES_OF_THEIR_OWN: Final = f"""
    SELECT posting.created_at AS at, posting.id, CASE WHEN num_nonnulls(
            posting.attempt_id, posting.account_ids, posting.amounts_nano, posting.entry_id) = 0
        THEN jsonb_build_array({_HEAD}, {_STORED})::text
        ELSE '' END AS line
    FROM billing_posting posting
    WHERE posting.created_at >= %(from)s AND posting.created_at < %(to)s"""  # noqa: S608

# Events of that time have no origin. A row with one was edited.
_LINES_WITHOUT_ORIGIN: Final = """
    SELECT event.at, event.id, CASE WHEN concat(
            event.address, event.client, event.session, event.request_id, event.reason) = ''
        THEN jsonb_build_array(
            event.id, extract(epoch FROM event.at), event.actor_user_id, event.actor_key,
            event.organisation_id, event.action, event.object_type, event.object_id,
            event.detail)::text
        ELSE '' END AS line
    FROM accounts_auditevent event
    WHERE event.at >= %(from)s AND event.at < %(to)s"""
