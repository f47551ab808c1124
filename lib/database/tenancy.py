"""Row-level security as a second check: which tenant's rows the database shows to the current code
(docs/adr/0013).

Code for a tenant enters it. From then on its statements run as a role to which row-level security
shows only this tenant's rows, even if a filter is missing. Without a tenant they run as the login
role, which sees all rows, for the installation's own work.

    no tenant --enter--> a tenant, until the request ends
    within(tenant), within(None): for the length of a block

The state of a connection is read from the application name that the server reports, which is set
together with the role. It is never cached, so a pooled connection, or one whose transaction (and
with it the role) was rolled back, is not mistaken for its earlier state.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

ROLE: Final = "weir_tenant"
SETTING: Final = "weir.tenant"
NOBODY: Final = UUID(int=0)
"""A tenant that has no rows."""
_REPORTED: Final = b"application_name"
_NAME: Final = b"weir tenant "
_LEAVE: Final = f"RESET ROLE; RESET {SETTING}; RESET application_name".encode()
_END: Final = object()

_current: ContextVar[UUID | None] = ContextVar("tenant", default=None)

Part = TypeVar("Part")


def current_tenant() -> UUID | None:
    """Return the current tenant; None is the installation."""
    return _current.get()


def enter(tenant: UUID | None) -> None:
    """Switch to a tenant, or to the installation, from now on."""
    _current.set(tenant)


@contextmanager
def use_tenant(tenant: UUID | None) -> Iterator[None]:
    """Switch to a tenant, or to the installation, inside the block."""
    before = _current.get()
    _current.set(tenant)
    try:
        yield
    finally:
        _current.set(before)


def own_context() -> Context:
    """Return a context with the caller's tenant only: for a task that outlives its request."""
    context = Context()
    context.run(enter, current_tenant())
    return context


def iterate_within(tenant: UUID | None, parts: Iterable[Part]) -> Iterator[Part]:
    """Iterate over the parts of an answer that is sent after its request has ended, within the
    tenant.
    """
    iterator = iter(parts)
    while True:
        with use_tenant(tenant):
            part = next(iterator, _END)
        if part is _END:
            return
        yield part  # type: ignore[misc]


async def iterate_within_async(
    tenant: UUID | None, parts: AsyncIterable[Part]
) -> AsyncIterator[Part]:
    """The asynchronous form of `iterate_within`."""
    iterator = aiter(parts)
    while True:
        with use_tenant(tenant):
            part = await anext(iterator, _END)
        if part is _END:
            return
        yield part  # type: ignore[misc]


def confine_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Confine every statement of a new Django connection to the current tenant."""
    # Insert it first, because a temporary wrapper removes the last one when it ends.
    if _confine_connection not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _confine_connection)


def _confine_connection(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Run a statement as the current tenant. The signature is that of Django's execute wrappers."""
    wrapper = context["connection"]
    connection = wrapper.connection
    tenant = _current.get()
    name = b"" if tenant is None else _NAME + str(tenant).encode()
    if name != _confined_to(connection.pgconn) and not _has_failed(connection.pgconn):
        with wrapper.wrap_database_errors:
            connection.execute(_LEAVE if tenant is None else _enter(tenant, name))
    return execute(sql, params, many, context)


def _confined_to(pgconn: Any) -> bytes:
    name: bytes = pgconn.parameter_status(_REPORTED) or b""
    return name if name.startswith(_NAME) else b""


def _has_failed(pgconn: Any) -> bool:
    """Return whether the transaction has failed, so that the connection accepts only its end."""
    return bool(pgconn.transaction_status == TransactionStatus.INERROR)


def _enter(tenant: UUID, name: bytes) -> bytes:
    # One message, and no SELECT: after a SELECT a transaction can no longer set its isolation
    # level.
    return b"SET ROLE %b; SET %b = '%b'; SET application_name = '%b'" % (
        ROLE.encode(),
        SETTING.encode(),
        str(tenant).encode(),
        name,
    )
