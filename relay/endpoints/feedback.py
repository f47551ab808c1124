"""Feedback about the answer to a request, from the key that sent the request or another key of its
team: an application's server may use other keys than its workers. Other requests do not exist for
the key. It holds and charges nothing.
"""

from typing import Any, Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from lib.ids import id_text, parse_id
from relay.front.request import Request
from usage.feedback.rules import Opinion, problem_of
from usage.feedback.sql import give_by_key

FEEDBACK_BYTES_MAX: Final = 64 * 1024
_MEMBERS: Final = {"score": int, "label": str, "comment": str}
_TYPES: Final = {int: "an integer", str: "a string"}


class RequestMissing(RequestFault):
    """The request never existed, or belongs to another team: both have the same error."""

    def __init__(self, id_: str) -> None:
        super().__init__("task_not_found", "request_id", id_)
        self.message = self.message.replace("Task", "Request", 1)


async def give_feedback(request: Request) -> None:
    """Store the feedback in the body, in place of an earlier one of the same key. Raises
    RequestFault, DatabaseFailed."""
    opinion = read_opinion(await request.read_body(request.read_headers()))
    principal, asked = request.principal, request.task_id
    request_id = parse_id(asked)
    if request_id is None:
        raise RequestMissing(asked)
    statement = give_by_key(
        principal.organisation_id,
        request_id,
        opinion,
        team_id=principal.team_id,
        key_id=principal.key_id,
        user_id=principal.user_id,
    )
    (rows,) = await request.life.parts.states.run([statement])
    if not rows:
        raise RequestMissing(asked)
    ((_, created_at),) = rows
    await request.respond(
        {
            "object": "request.feedback",
            "request_id": id_text(request_id),
            **opinion._asdict(),
            "created_at": created_at,
        }
    )


def read_opinion(raw: bytes) -> Opinion:
    """Parse a body. Raises RequestFault for one that is no JSON object, has an unknown member or an
    invalid value."""
    read_body(raw)
    body: dict[str, Any] = msgspec.json.decode(raw)
    values: dict[str, Any] = {}
    for name, value in body.items():
        kind = _MEMBERS.get(name)
        if kind is None:
            what = f"{name} is unknown here: use {', '.join(_MEMBERS)}"
            raise RequestFault("unsupported_capability", name, what)
        if value is None:
            continue
        if type(value) is not kind:
            raise RequestFault("invalid_type", name, f"{name} must be {_TYPES[kind]}")
        values[name] = value
    opinion = Opinion(**values)
    problem = problem_of(opinion)
    if problem is not None:
        raise RequestFault("invalid_value", problem.member, problem.text)
    return opinion
