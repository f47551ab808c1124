"""What an organisation paid its providers itself, with keys of its own: counted at the models'
prices here, and charged by nobody here."""

from collections.abc import Sequence

from accounts.access.actors import Actor
from usage.reports.filters import Scope
from usage.reports.visibility import run
from usage.rollups.buckets import Span
from usage.rollups.levels import Freshness
from usage.rollups.used_rows import TooManyRecords, used_rows


def paid_to_providers_nano(
    actor: Actor, scope: Scope, spans: Sequence[Span], at: Freshness | None = None
) -> int | None:
    """The sum over some spans of whole quarters, in nano; None if nothing was paid so, or if too
    many records would have to be read."""
    try:
        rows = used_rows(actor, scope, spans, [], at)
    except TooManyRecords:
        return None
    text = f"SELECT sum(r.own_nano)::bigint FROM {rows.text} r"  # noqa: S608 - own names
    ((nano,),) = run(text, rows.parameters)
    return None if nano is None else int(nano)
