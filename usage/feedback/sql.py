"""The one write of feedback, for the relay and for pages."""

import datetime as dt
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from lib.ids import id_before, new_id
from usage.feedback.rules import Opinion

Statement = tuple[str, Mapping[str, object]]

# By how much the ids of a request's attempts and its record may differ from its own.
_SLACK: Final = dt.timedelta(days=1)


def give_by_key(
    organisation_id: UUID,
    request_id: UUID,
    opinion: Opinion,
    *,
    team_id: UUID,
    key_id: UUID,
    user_id: int | None,
) -> Statement:
    """Return the write of a key's feedback about a request of its team: one row with the id and the
    time of the first one, or none if the team has no such request."""
    author = {"key": key_id, "author": user_id, "team": team_id}
    return _GIVE_BY_KEY, _parameters(organisation_id, request_id, opinion) | author


def give_by_person(
    organisation_id: UUID, request_id: UUID, opinion: Opinion, *, user_id: int
) -> Statement:
    """Return the write of a person's feedback about their own request, as `give_by_key`."""
    return _GIVE_BY_PERSON, _parameters(organisation_id, request_id, opinion) | {"author": user_id}


def _parameters(organisation_id: UUID, request_id: UUID, opinion: Opinion) -> dict[str, object]:
    first_id, end_id = id_before(request_id, _SLACK), id_before(request_id, -_SLACK)
    return {
        "id": new_id(), "organisation": organisation_id, "request": request_id,
        "first_id": first_id, "end_id": end_id,
        "score": opinion.score, "label": opinion.label, "comment": opinion.comment,
    }  # fmt: skip


# A request that has just been answered may have no record yet, and one that was refused has no
# attempt.
_GIVE = """
    INSERT INTO usage_feedback
        (id, organisation_id, request_id, author_key_id, author_id, team_id, key_id, user_id, model,
         prompt, prompt_version, score, label, comment)
    SELECT %(id)s::uuid, %(organisation)s::uuid, %(request)s::uuid, {key}, %(author)s::bigint,
           r.team_id, r.key_id, r.user_id, r.model, coalesce(r.prompt, ''), r.prompt_version,
           %(score)s::smallint, %(label)s::text, %(comment)s::text
    FROM (
        SELECT team_id, key_id, user_id, model, prompt, prompt_version, 32767 AS n
        FROM usage_usagerecord
        WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid
          AND id >= %(first_id)s::uuid AND id < %(end_id)s::uuid AND final
        UNION ALL
        SELECT team_id, key_id, user_id, model, prompt, prompt_version, n
        FROM usage_attempt
        WHERE organisation_id = %(organisation)s::uuid AND request_id = %(request)s::uuid
          AND id >= %(first_id)s::uuid AND id < %(end_id)s::uuid
        ORDER BY n DESC LIMIT 1
    ) r
    WHERE {allowed}
    ON CONFLICT (organisation_id, request_id, author_key_id) DO UPDATE
    SET author_id = excluded.author_id, model = excluded.model, prompt = excluded.prompt,
        prompt_version = excluded.prompt_version, score = excluded.score,
        label = excluded.label, comment = excluded.comment, updated_at = now()
    RETURNING id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
_GIVE_BY_KEY: Final = _GIVE.format(key="%(key)s::uuid", allowed="r.team_id = %(team)s::uuid")
_GIVE_BY_PERSON: Final = _GIVE.format(key="r.key_id", allowed="r.user_id = %(author)s::bigint")
