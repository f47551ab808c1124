"""Work that a management API operation does after its transaction, such as sending a letter. It
gets the body of the answer and returns the body to send, which is then stored for an
Idempotency-Key. Until then the first body is stored; if the process ends in between, the work is
not repeated.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from django.http import HttpRequest

Finish: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
_NAME: Final = "_finish_after_commit"


def finish_after_commit(request: HttpRequest, finish: Finish) -> None:
    """Register work to do once the operation is committed."""
    setattr(request, _NAME, finish)


def finish_of(request: HttpRequest) -> Finish | None:
    """Return the work to do after this request's transaction, or None."""
    return getattr(request, _NAME, None)
