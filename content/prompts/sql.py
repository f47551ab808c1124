"""Read a saved prompt (`content/models/prompts.py`), as a statement (text, params)."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

Statement = tuple[str, Mapping[str, object]]


def find_version(organisation_id: UUID, user_id: int | None, slug: str, version: str) -> Statement:
    """Find a version of a prompt that the organisation shares, or that belongs to the key's person:
    (name, number, model, settings). `version` is a number or a label; "" is the one in production,
    else the last. No row without such a prompt; number is null without such a version."""
    number = version if version.isascii() and version.isdecimal() and len(version) < 9 else None
    return _FIND, {
        "organisation": organisation_id,
        "user": user_id,
        "slug": _whole(slug),
        "number": number,
        "label": "" if number else _whole(version),
    }


def _whole(name: str) -> str:
    """Return a name that Postgres does not end at a NUL."""
    return name.replace("\x00", "\ufffd")


_FIND: Final = """
    SELECT p.slug, v.number, v.model, v.settings
    FROM content_prompt p
    LEFT JOIN content_promptversion v ON v.prompt_id = p.id AND v.number = CASE
        WHEN %(number)s::int IS NOT NULL THEN %(number)s::int
        WHEN %(label)s::text <> '' THEN (p.labels->%(label)s::text->>0)::int
        ELSE coalesce(
            (p.labels->'production'->>0)::int,
            (SELECT max(last.number) FROM content_promptversion last
             WHERE last.prompt_id = p.id)
        )
    END
    WHERE p.organisation_id = %(organisation)s::uuid AND p.slug = %(slug)s
      AND (p.shared OR p.user_id = %(user)s::bigint)"""
