"""Operations of the management API: who calls one, and what they must be allowed.

router = Router(tags=["Audit"])

@router.post("/credits")
@requires("credits.write")
def create_credit(actor: Actor, body: CreditIn) -> CreditOut: ...
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import ninja
from django.http import HttpRequest

from accounts.access.access import require
from accounts.access.actors import actor_of
from accounts.roles import rules as roles

Operation = TypeVar("Operation", bound=Callable[..., Any])


def requires(action: roles.Action) -> Callable[[Operation], Operation]:
    """Mark an operation: an actor who may not do `action` gets 403."""

    def mark(function: Operation) -> Operation:
        function.action = action  # type: ignore[attr-defined]
        return function

    return mark


class Router(ninja.Router):
    """Calls an operation with the actor, the request, or both, as its first parameters name them,
    once the actor may do what the operation requires."""

    def add_api_operation(
        self, path: str, methods: list[str], view_func: Callable[..., Any], **options: Any
    ) -> None:
        super().add_api_operation(path, methods, _guarded(view_func), **options)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)
    wanted = [name for name in ("request", "actor") if name in signature.parameters]

    @wraps(function)
    def guarded(request: HttpRequest, **values: Any) -> Any:
        actor = actor_of(request)
        # Looked up at each call: `requires` counts above and below the route.
        action: roles.Action | None = getattr(function, "action", None)
        if action is not None:
            require(actor, action)
        known = {"request": request, "actor": actor}
        return function(*(known[name] for name in wanted), **values)

    # The framework takes each parameter that it reads there for one of the client's.
    guarded.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[one for name, one in signature.parameters.items() if name not in wanted]
    )
    return guarded
