"""Export people and their access. Fields with default values are omitted."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.utils.text import slugify
from pydantic import BaseModel

from config.apply import file_format
from config.apply.difference import Value
from config.apply.item_fields import SINGLE_SIGN_ON_FIELDS, defaults_of, tuples

Document = dict[str, Any]


def unless_default(
    kind: type[BaseModel], fields: Mapping[str, Value], names: Iterable[str]
) -> Document:
    """Return the fields that differ from the defaults of a new object."""
    defaults = tuples(defaults_of(kind, names))
    changed = ((name, fields[name]) for name in names if fields[name] != defaults.get(name))
    return {name: _plain_value(value) for name, value in changed if value is not None}


def team_document(name: str, fields: Mapping[str, Value]) -> Document:
    names = ("plan", "required_labels", "archived")
    return {
        "name": name,
        **_slug(name, fields["slug"]),
        **unless_default(file_format.Team, fields, names),
    }


def project_document(slug: str, fields: Mapping[str, Value]) -> Document:
    name = cast(str, fields["name"])
    archived = unless_default(file_format.Project, fields, ("archived",))
    return {"name": name, **_slug(name, slug), **archived}


def member_document(email: str, fields: Mapping[str, Value]) -> Document:
    member = {"email": email, "role": fields["role"]}
    return member | unless_default(file_format.Member, fields, ("teams", "leads", "plan"))


def invitation_document(email: str, fields: Mapping[str, Value]) -> Document:
    names = ("invited_by", "role", "teams", "message")
    return {"email": email, **unless_default(file_format.Invitation, fields, names)}


def single_sign_on_document(fields: Mapping[str, Value]) -> Document:
    first = {
        "issuer": fields["issuer"],
        "client_id": fields["client_id"],
        "secret": file_format.KEEP,
    }
    return first | unless_default(file_format.SingleSignOn, fields, SINGLE_SIGN_ON_FIELDS)


def _slug(name: str, slug: Value) -> Document:
    """Return the slug unless it is the one that follows from the name."""
    return {} if slug == slugify(name) else {"slug": slug}


def _plain_value(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain_value(part) for name, part in value.items()}
    return value
