"""Authentication for the management API: an API key in any header that clients use, or else the
session of the pages."""

from ipaddress import ip_network

from django.http import HttpRequest
from django.utils.translation import gettext
from ninja.errors import AuthenticationError, HttpError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from accounts.access import entry_requirements
from accounts.access.access import AccessDenied
from accounts.access.actors import (
    Actor,
    actor_in_organisation,
    key_actor,
    memberships,
    session_actor,
)
from accounts.audit.origin import origin_of
from accounts.guards.guards import act_as
from accounts.key_uses.last_uses import LAST_USES
from accounts.limits.rules import is_address_in
from accounts.models import User
from accounts.secrets.key_lookup import used_digest
from accounts.sessions.view_as import refuse_while_viewing
from lib.database import tenancy

ORGANISATION_HEADER = "X-Weir-Organisation"
"""The header that names, by slug, the organisation in which an operator acts."""


class KeyConflict(HttpError):
    """Two headers of one request hold different keys."""

    def __init__(self) -> None:
        super().__init__(401, "Two different API keys were sent. Send one.")


class ApiAuth(AuthBase):
    """Accepts an API key in any header, or else the session of the pages with its CSRF header.

    `confined` operations act in the actor's organisation alone, as its pages do.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "An API key: `Authorization: Bearer sk-weir-…`."

    def __init__(self, *, confined: bool = True) -> None:
        super().__init__()
        self._confined = confined

    def __call__(self, request: HttpRequest) -> Actor | None:
        texts = presented_keys(request)
        if len(texts) > 1:
            raise KeyConflict
        if texts:
            text = texts.pop()
            actor = key_actor(text)
            _check_address(request, actor)
            _note_use(request, actor, text)
        elif isinstance(request.user, User):
            if check_csrf(request):
                raise HttpError(403, "The CSRF header is missing or wrong. Reload the page.")
            refuse_while_viewing(request)
            actor = session_actor(request, request.user)
        else:
            actor = None
        if actor is None:
            raise AuthenticationError(
                message="Incorrect API key provided. Keys are made on the page API keys."
            )
        slug = request.headers.get(ORGANISATION_HEADER)
        if slug is not None:
            actor = actor_in_organisation(actor, slug)
        if actor.key is None:
            _check_entry(request, actor)
        act_as(request, actor)
        if not self._confined:
            tenancy.enter(None)
        return actor


api_auth = ApiAuth()
installation_auth = ApiAuth(confined=False)
"""For the operations of operators, which cover all organisations."""


def _check_entry(request: HttpRequest, actor: Actor) -> None:
    """Raise AccessDenied if the session does not meet the requirements of the organisation that the
    actor acts in."""
    if actor.user is None or actor.organisation is None:
        return
    membership = memberships().filter(user=actor.user, organisation=actor.organisation).first()
    try:
        entry_requirements.check(request, actor.user, actor.organisation, membership)
    except entry_requirements.EntryRefused as refused:
        raise AccessDenied(refused.text) from refused


def _note_use(request: HttpRequest, actor: Actor | None, text: str) -> None:
    if actor is not None and actor.key is not None:
        origin = origin_of(request)
        digest = used_digest(actor.key, text)
        LAST_USES.note(actor.key.id, digest, origin.address, origin.client)


def _check_address(request: HttpRequest, actor: Actor | None) -> None:
    """Raise AccessDenied if the key may not be used from the request's address."""
    if actor is None or actor.key is None or not actor.key.networks:
        return
    address = request.META.get("REMOTE_ADDR", "")
    if not is_address_in(address, map(ip_network, actor.key.networks)):
        raise AccessDenied(
            gettext(
                "This API key is not allowed from %(address)s. Add the address to the "
                "key's allowed networks, or use another key."
            )
            % {"address": address or "unknown"}
        )


def presented_keys(request: HttpRequest) -> set[str]:
    """Return the distinct key texts in all headers that clients use. A valid request has one."""
    authorization = request.headers.get("authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    texts = {
        rest.strip() if scheme.lower() == "bearer" else authorization,
        request.headers.get("x-api-key", "").strip(),
        request.headers.get("x-goog-api-key", "").strip(),
    }
    return texts - {""}
