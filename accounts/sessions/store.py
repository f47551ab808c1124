"""Django's database sessions under digests of their keys: a copy of the table contains no key that
opens a session (P14).

Prior art is Django's ticket 21076. A session belongs to its person, not to an organisation, so it
is read and written outside of all tenants (docs/adr/0013).
"""

import hashlib
from typing import Any, Final

from django.contrib.sessions.backends import db

from lib import clock
from lib.database.tenancy import use_tenant

_HEX_DIGITS: Final = 40  # the width of a session key column; as many bits as a key has


def session_digest(session_key: str) -> str:
    """Return the digest that identifies a session where its key must not appear."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:_HEX_DIGITS]


class SessionStore(db.SessionStore):
    """Stores sessions under a digest of their key; everything else uses the key itself."""

    def _get_session_from_db(self) -> Any:
        with use_tenant(None):
            row = self._living().first()
        if row is None:
            self._session_key = None
        return row

    async def _aget_session_from_db(self) -> Any:
        with use_tenant(None):
            row = await self._living().afirst()
        if row is None:
            self._session_key = None
        return row

    def _living(self) -> Any:
        digest = session_digest(str(self.session_key))
        return self.model.objects.filter(session_key=digest, expire_date__gt=clock.now())

    def exists(self, session_key: str) -> bool:
        with use_tenant(None):
            return super().exists(session_digest(session_key))

    async def aexists(self, session_key: str) -> bool:
        with use_tenant(None):
            return await super().aexists(session_digest(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = session_digest(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        row = await super().acreate_model_instance(data)
        row.session_key = session_digest(row.session_key)
        return row

    def save(self, must_create: bool = False) -> None:
        with use_tenant(None):
            super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        with use_tenant(None):
            await super().asave(must_create)

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            with use_tenant(None):
                super().delete(session_digest(key))

    async def adelete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            with use_tenant(None):
                await super().adelete(session_digest(key))
