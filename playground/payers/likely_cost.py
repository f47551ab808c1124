"""The likely cost of a turn: the median cost of similar turns."""

from accounts.access.actors import Actor, organisation_of, person_of
from usage.reports.visibility import run

_TURNS = 50


def likely_charge_nano(actor: Actor, model: str) -> int | None:
    """Return the median charge of the person's last 50 answered requests to a model, in nano. None
    before the first one."""
    who = {"organisation": organisation_of(actor).id, "user": person_of(actor).id}
    rows = run(_LIKELY, {**who, "model": model, "turns": _TURNS})
    median: int | None = rows[0][0]
    return median


# Ids are in the order of time, so the newest come first from the primary key.
_LIKELY = """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY charge_nano)
    FROM (
        SELECT charge_nano FROM usage_usagerecord
        WHERE organisation_id = %(organisation)s AND user_id = %(user)s AND model = %(model)s
          AND final AND status = 200
        ORDER BY id DESC LIMIT %(turns)s
    ) latest"""
