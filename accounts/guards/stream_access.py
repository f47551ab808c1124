"""Check that the reader of a page's stream still has access (P11).

A page is checked when it is requested. While its stream runs, the session may end, the person may
be deactivated or removed, the role may be reduced, the organisation may be archived, or a second
factor or single sign-on may become required. All of these are checked again.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from importlib import import_module
from typing import Final, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.db import Error
from django.http import HttpRequest

from accounts.access import entry_requirements
from accounts.access.access import scope_of
from accounts.access.actors import Actor, actor_of_member, memberships, organisation_of
from accounts.access.entry_requirements import EntryRefused
from accounts.models import Organisation, User
from accounts.roles.rules import Action
from accounts.sessions.sessions import is_alive
from accounts.sessions.view_as import actor_viewing
from lib.database.async_database import run_in_database
from lib.database.tenancy import use_tenant

CHECK_S: Final = 2.0
"""How often each stream checks, in seconds. It ends within 5 s even if no notification arrives."""

MayRead = Callable[[], Awaitable[bool]]
Item = TypeVar("Item")


class AccessEnded(Exception):
    """The reader of a stream may no longer read it."""


def reader_of(request: HttpRequest, actor: Actor, action: Action) -> MayRead:
    """Return a check of whether the request's session may still do what the view guards."""
    session_key = request.session.session_key or ""

    async def may_read() -> bool:
        return await run_in_database(_may_still_read, session_key, actor, action)

    return may_read


async def read_while(stream: AsyncGenerator[Item], may_read: MayRead) -> AsyncIterator[Item]:
    """Yield the items of a stream, and close it at the end. Raises AccessEnded as soon as its
    reader may no longer read."""
    ended = asyncio.create_task(_wait_until_refused(may_read))
    try:
        async with contextlib.aclosing(stream):
            while (item := await _next(stream, ended)) is not None:
                yield item
    finally:
        ended.cancel()


async def _next(stream: AsyncGenerator[Item], ended: asyncio.Task[None]) -> Item | None:
    """Return the next item, or None at the end of the stream."""
    item = asyncio.ensure_future(anext(stream, None))
    try:
        await asyncio.wait({item, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            return await item
    finally:
        # A stream cannot be closed while an item is being read from it.
        item.cancel()
        await asyncio.wait({item})
    ended.result()
    raise AccessEnded


async def _wait_until_refused(may_read: MayRead) -> None:
    while True:
        # If the database cannot answer now, check again later. Meanwhile the stream continues, like
        # those of keys.
        with contextlib.suppress(Error):
            if not await may_read():
                return
        await asyncio.sleep(CHECK_S)


def _may_still_read(session_key: str, actor: Actor, action: Action) -> bool:
    """Return whether the session still belongs to that person, who may still do `action`."""
    present = present_actor(session_key, actor)
    return present is not None and scope_of(present, action) is not None


def present_actor(session_key: str, actor: Actor) -> Actor | None:
    """Return the actor that the session's next request would have, or None."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    if not isinstance(user, User) or user != actor.user:
        return None
    here = {"organisation": actor.organisation, "organisation__archived_at": None}
    membership = memberships().filter(user=user, **here).first()
    if membership is not None:
        organisation: Organisation | None = membership.organisation
    elif user.operator:
        id = organisation_of(actor).id
        organisation = Organisation.objects.filter(id=id, archived_at=None).first()
    else:
        organisation = None
    if organisation is None:
        return None
    try:
        # Sign-in data belongs to no organisation.
        with use_tenant(None):
            if not is_alive(session_key):
                return None
            entry_requirements.check(request, user, organisation, membership)
    except EntryRefused:
        return None
    return actor_viewing(actor_of_member(user, organisation, membership), request.session)
