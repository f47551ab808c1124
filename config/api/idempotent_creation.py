"""Common features of creating operations: an Idempotency-Key, and 409 if the object exists already.

An operation creates if it is a POST that answers 201. With a key, the operation and its stored
response are one transaction (P5); work in `lib/api/after_commit.py` follows it. An operation that
returns an HttpResponse calls `billing.idempotency.answer_idempotently` itself.
"""

import inspect
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from ninja import Status
from ninja.operation import Operation

from accounts.access.actors import actor_of
from billing.idempotency import KEY_LENGTH_MAX, Answer, answer_idempotently, replace_body
from lib.api.after_commit import finish_of
from lib.api.openapi import declared_error, json_body

HEADER: Final = "Idempotency-Key"
_PARAMETER: Final = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "description": "Sent again with the same key and body within 24 hours, the request is not "
    "carried out again: it gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX},
}


def creates(operation: Operation) -> bool:
    """Return whether the operation creates something."""
    return "POST" in operation.methods and 201 in operation.response_models


def answer_once(view: Callable[..., Any]) -> Callable[..., Any]:
    """Run a creating operation once per Idempotency-Key."""
    operation: Operation = view._ninja_operation  # type: ignore[attr-defined]
    if not creates(operation) or inspect.signature(view).return_annotation is HttpResponse:
        return view

    @wraps(view)
    def respond(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        def act() -> Answer:
            return Answer(201, json_body(view(request, *args, **kwargs).value))

        if HEADER not in request.headers:
            result = view(request, *args, **kwargs)
            finish = finish_of(request)
            return result if finish is None else Status(201, finish(json_body(result.value)))
        actor = actor_of(request)
        response = answer_idempotently(request, actor, act)
        finish = finish_of(request)
        if finish is not None:
            body = finish(json.loads(response.content))
            replace_body(actor, request.headers[HEADER], body)
            response.content = json.dumps(body).encode()
        return response

    return respond


def describe_creation(operation: dict[str, Any]) -> None:
    """Describe the common features of creating operations in the reference."""
    if 201 in operation["responses"]:
        operation.setdefault("parameters", []).append(_PARAMETER)
        operation["responses"].setdefault(409, declared_error(409))
