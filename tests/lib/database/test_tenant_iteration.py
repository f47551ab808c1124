"""An answer that is sent after its request has ended is made within the request's tenant."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from lib.database.tenancy import (
    current_tenant,
    enter,
    iterate_within,
    iterate_within_async,
    own_context,
    use_tenant,
)

OURS, THEIRS = UUID(int=1), UUID(int=2)


def seen() -> Iterator[UUID | None]:
    for _ in range(3):
        yield current_tenant()


async def seen_async() -> AsyncIterator[UUID | None]:
    for tenant in seen():
        yield tenant


def test_each_part_is_made_within_the_tenant_and_used_outside() -> None:
    with use_tenant(THEIRS):
        parts = [(part, current_tenant()) for part in iterate_within(OURS, seen())]
    assert parts == [(OURS, THEIRS)] * 3
    assert current_tenant() is None


async def test_parts_of_an_asynchronous_answer_are_made_alike() -> None:
    with use_tenant(THEIRS):
        parts = [
            (part, current_tenant()) async for part in iterate_within_async(OURS, seen_async())
        ]
    assert parts == [(OURS, THEIRS)] * 3


def test_context_of_a_task_keeps_the_tenant_of_its_caller() -> None:
    with use_tenant(OURS):
        context = own_context()
        enter(THEIRS)
        assert (context.run(current_tenant), current_tenant()) == (OURS, THEIRS)
    assert current_tenant() is None
