"""Names of members: Google's parsers accept camelCase and snake_case alike, and so do we. Only
members of messages are renamed; names that the client chooses (arguments, properties of a schema)
are never changed.
"""

import re
from typing import Any

from dialects.errors.errors import RequestFault
from dialects.json.body import Body
from dialects.json.camel_case import camel_name
from dialects.json.members import Members

_CAPITAL = re.compile(r"[A-Z]")


def camel(members: Members) -> Members:
    """Return the object with its own members in camelCase. Raises RequestFault `malformed_json` if
    a member appears in both spellings.
    """
    if not any("_" in name for name in members.value):
        return members
    value: dict[str, Any] = {}
    for name, item in members.value.items():
        camel_spelling = camel_name(name)
        if camel_spelling in value:
            what = f"{members.at(camel_spelling)} appears twice in the object"
            raise RequestFault("malformed_json", None, what)
        value[camel_spelling] = item
    return Members(value, members.path)


def spelling(body: Body, name: str) -> str:
    """Return the spelling of a member in the body; `name` itself if it is absent. Raises
    RequestFault `malformed_json` if it appears in both spellings.
    """
    snake = _CAPITAL.sub(lambda letter: "_" + letter[0].lower(), name)
    if snake == name or snake not in body.members:
        return name
    if name in body.members:
        raise RequestFault("malformed_json", None, f"{name} appears twice in the object")
    return snake


def read_objects(members: Members, name: str) -> list[Members]:
    """Return an array of objects, or a single object as an array, like Google's parsers; [] when
    absent.
    """
    value = members.value.get(name)
    if isinstance(value, dict):
        return [camel(Members(value, members.at(name)))]
    return [camel(item) for item in members.objects(name)]
