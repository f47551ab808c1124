"""Who acts, and what they may reach: every page, API operation and object passes through here.

A view is marked with its access class by the decorator that guards it; an object is had only from
an `access_*` function, which starts from the actor's organisation. What belongs to others looks
exactly like what does not exist (404). The role x action table itself is pure: `rules/roles.py`.
"""

import datetime as dt
import hmac
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import wraps
from ipaddress import ip_network
from typing import Any, TypeAlias, TypeVar, cast, get_args

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import close_old_connections
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_lazy
from ninja.errors import AuthenticationError, HttpError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from accounts import entry
from accounts.models import (
    FormerSecret,
    HasRole,
    Key,
    KeyKind,
    Membership,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.rules import key_format, roles
from accounts.rules.authority import Authority
from accounts.rules.limits import is_address_in
from accounts.sealing import pepper
from accounts.viewing import viewing_of
from lib import clock, tenancy
from lib.htmx import go_to, is_htmx, page_address
from lib.ids import parse_id, parse_number

_GZIP = GZipMiddleware(lambda request: HttpResponse())
LAST_ORGANISATION = "organisation"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

View: TypeAlias = Callable[..., Any]
Row = TypeVar("Row", bound=Model)
Response = TypeVar("Response", bound=HttpResponseBase)


@dataclass(frozen=True)
class Actor:
    """Who acts: a person or a key (then also the person it belongs to), and where.

    `role` is the role in `organisation`; None for a model key, which reads only its own scope, and
    for an operator who is no member there. `permissions` are those of a custom role, `teams` the
    teams that the role is limited to; None = it is not. `ends_at` is the end of the former secret
    that a key came with. `viewing`: an operator who looks on in that role.
    """

    user: User | None
    key: Key | None
    organisation: Organisation | None
    role: Role | None
    operator: bool
    ends_at: dt.datetime | None = None
    permissions: tuple[roles.Permission, ...] = ()
    teams: frozenset[uuid.UUID] | None = None
    viewing: bool = False

    @property
    def authority(self) -> Authority:
        """What the actor may do in the organisation as its member."""
        return authority_of(self.role, self.permissions, self.teams)

    @property
    def installation(self) -> bool:
        """Whether this is the installation itself, which nobody's authority bounds."""
        return self.operator and self.user is None and self.key is None

    @property
    def model_key(self) -> Key | None:
        """The key that confines this actor to its own rows, if one does."""
        return self.key if self.key and self.key.kind != KeyKind.MANAGEMENT else None


SYSTEM = Actor(user=None, key=None, organisation=None, role=None, operator=True)
"""The installation itself: its command line, its configuration as code, signing up."""


MODEL_KEY_ACTIONS: frozenset[roles.Action] = frozenset(
    {"keys.read", "usage.read", "requests.read", "models.read", "budgets.read", "prompts.read"}
)
"""What a key that calls models may read of itself."""

_WHILE_SUSPENDED: frozenset[roles.Action] = frozenset(
    {
        *(action for action in get_args(roles.Action) if action.endswith(".read")),
        "topups.write",
    }
)

ROLE_NAMES = {
    "owner": gettext_lazy("owner"),
    "admin": gettext_lazy("admin"),
    "billing": gettext_lazy("billing"),
    "developer": gettext_lazy("developer"),
    "viewer": gettext_lazy("viewer"),
    "custom": gettext_lazy("custom"),
    "operator": gettext_lazy("operator"),
}


class AccessDenied(PermissionDenied):
    """The actor's role does not reach so far; the text names the role that does."""


class KeyConflict(HttpError):
    """Two carriers of one request hold different keys."""

    def __init__(self) -> None:
        super().__init__(401, "Two different API keys were sent. Send one.")


def authority_of(
    role: str | None,
    permissions: Iterable[roles.Permission] = (),
    teams: Iterable[uuid.UUID] | None = None,
) -> Authority:
    """What somebody of that role may do; a custom one is all in its permissions."""
    built_in = cast(roles.Role, str(role)) if role and role != Role.CUSTOM else None
    return Authority(built_in, tuple(permissions), None if teams is None else frozenset(teams))


def authority_of_member(member: HasRole, teams: Iterable[uuid.UUID] | None) -> Authority:
    """What whoever has that row's role, in those teams, may do."""
    permissions = member.custom_role.permissions if member.custom_role else ()
    return authority_of(member.role, permissions, teams)


def scope_of(actor: Actor, action: roles.Action) -> roles.Scope | None:
    """How far the actor may do `action`: all of the organisation, the teams that it is limited to,
    its own only, or not at all."""
    if actor.model_key:
        return "own" if action in MODEL_KEY_ACTIONS else None
    # An operator sees what is needed to run the installation, never prompts.
    if actor.viewing and action.startswith(("playground.", "prompts.")):
        return None
    as_member = actor.authority.scope_of(action)
    if actor.organisation is not None and not _is_open(actor.organisation, action):
        as_member = None
    as_operator = roles.scope_of("operator", action) if actor.operator else None
    return roles.widest_scope([as_member, as_operator])


def _is_open(organisation: Organisation, action: roles.Action) -> bool:
    """Whether members may do it now: a suspended organisation is read, and pays what it owes."""
    return organisation.suspended_at is None or action in _WHILE_SUSPENDED


def require(actor: Actor, action: roles.Action) -> None:
    """Raise AccessDenied, naming the role that is needed, unless the actor may do `action`."""
    if scope_of(actor, action) is not None:
        return
    if actor.model_key:
        raise AccessDenied(
            gettext("A model key can only read its own usage. Use a management key instead.")
        )
    if actor.organisation is not None and not _is_open(actor.organisation, action):
        raise AccessDenied(suspension_text(actor.organisation))
    # An owner grants every role but the installation's.
    granted = [role for role in roles.roles_with(action) if role != "operator"]
    raise AccessDenied(
        gettext("You need the %(role)s role for this. An owner of the organisation can grant it.")
        % {"role": ROLE_NAMES[granted[-1]]}
        if granted
        else gettext("Only an operator can do this.")
    )


def suspension_text(organisation: Organisation) -> str:
    """What members of a suspended organisation are told."""
    text = gettext("%(organisation)s is suspended.") % {"organisation": organisation.name}
    reason = organisation.suspended_reason
    ask = gettext("Contact the operator of this installation.")
    return " ".join(part for part in (text, reason, ask) if part)


# Pages ------------------------------------------------------------------------------------------


def organisation_page(action: roles.Action) -> Callable[[View], View]:
    """Guard a view under ``/o/<slug:o>/…`` and call it as ``view(request, actor, **rest)``.

    Not signed in: to the sign-in page and back. Not a member: 404. Not allowed: 403. Works for sync
    and async views; an async one holds no database connection while it streams.
    """

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        slug = kwargs.pop("o")
        viewing = viewing_of(request.session) if user.operator else None
        membership = (
            _memberships()
            .filter(user=user, organisation__slug=slug, organisation__archived_at=None)
            .first()
        )
        # An operator may look in without being a member, as far as the table says.
        if membership is None and not user.operator:
            raise Http404
        organisation = membership.organisation if membership else _open_organisation(slug)
        if request.session.get(LAST_ORGANISATION) != slug:
            request.session[LAST_ORGANISATION] = slug
        actor = actor_of_member(user, organisation, membership)
        if viewing is not None and viewing.organisation == slug:
            actor = replace(
                actor, role=viewing.role, operator=False, viewing=True, permissions=(), teams=None
            )
        entry.check(request, user, organisation, membership)
        act_as(request, actor)
        require(actor, action)
        return actor

    return _guard(f"organisation:{action}", enter)


def _open_organisation(slug: str) -> Organisation:
    return one_named(Organisation.objects.filter(archived_at=None), slug)


def session_page(action: roles.Action) -> Callable[[View], View]:
    """Guard an address without an organisation: the one whose page the session saw last."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        actor = session_actor(request, user)
        if actor is None or actor.organisation is None:
            raise Http404
        entry.check(request, user, actor.organisation, last_membership(request, user))
        tenancy.enter(actor.organisation.id)
        require(actor, action)
        return actor

    return _guard(f"organisation:{action}", enter)


def operator_page(action: roles.Action) -> Callable[[View], View]:
    """Guard a view of the installation (``/admin/…``): for everybody else it does not exist."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        if not user.operator:
            raise Http404
        # The way back to the organisation seen last stays in the shell.
        last = last_membership(request, user)
        actor = actor_of_member(user, last.organisation if last else None, last)
        request.actor = actor  # type: ignore[attr-defined]
        require(actor, action)
        return actor

    return _guard(f"operator:{action}", enter)


def signed_in_view(view: View) -> View:
    """Guard a ready-made view of one's own account, which takes no actor."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        return actor_of_member(user, None, None)

    @wraps(view)
    def without_actor(request: HttpRequest, actor: Actor, **kwargs: Any) -> HttpResponseBase:
        return cast(HttpResponseBase, view(request, **kwargs))

    return _guard("signed-in", enter)(without_actor)


def viewing_page(view: View) -> View:
    """Guard what a person may do while they view an organisation: to end it."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        return actor_of_member(user, None, None)

    return _guard("signed-in", enter, while_viewing=True)(view)


def public(view: View) -> View:
    """Mark a view that anybody may see; tests name every one of them."""
    return _marked(view, "public")


def open_page(view: View) -> View:
    """Guard a page for everybody and call it as ``view(request, actor, **rest)``, the actor None
    when nobody is signed in; who is has the shell of the organisation seen last around it.

    A stranger's page is compressed: it holds no secret (docs/adr/0011).
    """

    @wraps(view)
    def opened(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        actor = visitor(request)
        response = _private(cast(HttpResponseBase, view(request, actor, **kwargs)))
        return response if actor else compressed(request, response)

    return _marked(opened, "public")


def compressed(request: HttpRequest, response: Response) -> Response:
    """A stranger's page, smaller if their browser takes it so."""
    return cast(Response, _GZIP.process_response(request, cast(HttpResponse, response)))


def visitor(request: HttpRequest) -> Actor | None:
    """Who looks at a page that needs no signing in; the shell then shows their navigation."""
    if not isinstance(request.user, User):
        tenancy.enter(tenancy.NOBODY)
        return None
    actor = session_actor(request, request.user) or actor_of_member(request.user, None, None)
    act_as(request, actor)
    return actor


def act_as(request: HttpRequest, actor: Actor) -> None:
    """Answer the request as this actor: the database shows its organisation's rows alone, and no
    organisation's where it acts in none."""
    request.actor = actor  # type: ignore[attr-defined]
    tenancy.enter(actor.organisation.id if actor.organisation else tenancy.NOBODY)


def _marked(view: View, access_class: str) -> View:
    view.access_class = access_class  # type: ignore[attr-defined]
    return view


def _guard(
    access_class: str,
    enter: Callable[[HttpRequest, User, dict[str, Any]], Actor],
    *,
    while_viewing: bool = False,
) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        guarded: View
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
                entered = await sync_to_async(signed_in_and_let_go)(request, kwargs)
                if isinstance(entered, Actor):
                    entered = cast(HttpResponseBase, await view(request, entered, **kwargs))
                return _private(entered)

            guarded = guarded_async
        else:

            @wraps(view)
            def guarded_sync(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
                entered = signed_in(request, kwargs)
                if isinstance(entered, Actor):
                    entered = cast(HttpResponseBase, view(request, entered, **kwargs))
                return _private(entered)

            guarded = guarded_sync
        return _marked(guarded, access_class)

    def signed_in(request: HttpRequest, kwargs: dict[str, Any]) -> Actor | HttpResponseBase:
        if not isinstance(request.user, User):
            return sign_in_first(request)
        if not while_viewing:
            refuse_while_viewing(request)
        try:
            return enter(request, request.user, kwargs)
        except entry.EntryRefused as refused:
            return go_to(request, refused.url)

    def signed_in_and_let_go(
        request: HttpRequest, kwargs: dict[str, Any]
    ) -> Actor | HttpResponseBase:
        try:
            return signed_in(request, kwargs)
        finally:
            # The connection of this thread goes back to the pool before the view streams.
            close_old_connections()

    return decorate


def refuse_while_viewing(request: HttpRequest) -> None:
    """Raise AccessDenied where a session that views an organisation would change anything."""
    if request.method not in _SAFE_METHODS and viewing_of(request.session) is not None:
        raise AccessDenied(
            gettext("You are viewing an organisation and cannot change anything. End the view.")
        )


def _private(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ("HX-Request", "Cookie"))
    return response


def sign_in_first(request: HttpRequest) -> HttpResponseBase:
    """To the sign-in page and back."""
    login = resolve_url(settings.LOGIN_URL)
    if is_htmx(request):
        # A fragment's own address is no page to come back to.
        back = page_address(request) or "/"
        response = HttpResponse(status=401)
        response["HX-Redirect"] = f"{login}?{urlencode({'next': back})}"
        return response
    return redirect_to_login(request.get_full_path(), login)


def actor_of_member(
    user: User,
    organisation: Organisation | None,
    membership: Membership | None,
    key: Key | None = None,
) -> Actor:
    """The person, or a key of theirs, in an organisation; without a membership no member of it."""
    if membership is None:
        return Actor(user, key, organisation, None, user.operator)
    permissions = membership.custom_role.permissions if membership.custom_role else ()
    return Actor(
        user,
        key,
        organisation,
        Role(membership.role),
        user.operator,
        permissions=tuple(permissions),
        teams=teams_of(membership),
    )


def teams_of(membership: Membership) -> frozenset[uuid.UUID] | None:
    """The teams that a member is limited to; None for one who is in all of them."""
    if membership.all_teams:
        return None
    return frozenset(team.pk for team in membership.teams.all())


def _memberships() -> QuerySet[Membership]:
    """Memberships with what an actor is made of."""
    return Membership.objects.select_related("organisation", "custom_role")


def organisation_of(actor: Actor) -> Organisation:
    """The organisation that the actor acts in. Http404 without one."""
    if actor.organisation is None:
        raise Http404
    return actor.organisation


def slug_of(actor: Actor) -> str:
    """What that organisation is called in addresses."""
    return organisation_of(actor).slug


def person_of(actor: Actor) -> User:
    """The person of whoever came in by `organisation_page`."""
    return cast(User, actor.user)


# The management API -----------------------------------------------------------------------------


class ApiAuth(AuthBase):
    """An API key by any carrier, else the session of the page with its CSRF header.

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
            actor = key_actor(texts.pop())
            _check_address(request, actor)
        elif isinstance(request.user, User):
            if check_csrf(request):
                raise HttpError(403, "The CSRF header is missing or wrong. Reload the page.")
            refuse_while_viewing(request)
            actor = session_actor(request, request.user)
            _check_entry(request, request.user)
        else:
            actor = None
        if actor is None:
            raise AuthenticationError(
                message="Incorrect API key provided. Keys are made on the page API keys."
            )
        act_as(request, actor)
        if not self._confined:
            tenancy.enter(None)
        return actor


api_auth = ApiAuth()
installation_auth = ApiAuth(confined=False)
"""For the operations of operators, which look at all organisations."""


def _check_entry(request: HttpRequest, user: User) -> None:
    """Raise AccessDenied when the organisation asks more of the session."""
    membership = last_membership(request, user)
    if membership is None:
        return
    try:
        entry.check(request, user, membership.organisation, membership)
    except entry.EntryRefused as refused:
        raise AccessDenied(refused.text) from refused


def _check_address(request: HttpRequest, actor: Actor | None) -> None:
    """Raise AccessDenied when the key may not be used from there."""
    if actor is None or actor.key is None or not actor.key.networks:
        return
    address = request.META.get("REMOTE_ADDR", "")
    if not is_address_in(address, map(ip_network, actor.key.networks)):
        raise AccessDenied(
            gettext("The API key may not be used from address %(address)s.")
            % {"address": address or "unknown"}
        )


def actor_of(request: HttpRequest) -> Actor:
    """The actor that an API operation was entered by."""
    return cast(Actor, request.auth)  # type: ignore[attr-defined]


def presented_keys(request: HttpRequest) -> set[str]:
    """The different key texts in the carriers that clients use; one is what is wanted."""
    authorization = request.headers.get("authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    texts = {
        rest.strip() if scheme.lower() == "bearer" else authorization,
        request.headers.get("x-api-key", "").strip(),
        request.headers.get("x-goog-api-key", "").strip(),
    }
    return texts - {""}


def key_actor(text: str) -> Actor | None:
    """The actor that a key's text stands for; None for every text that opens nothing.

    A key lives as long as whom it belongs to: who is switched off, or has left the organisation or
    the key's team, has no living key there, and a model key needs a role that has keys, as it does
    where it calls models.
    """
    if key_format.check(text) not in (key_format.KeyForm.OWN, key_format.KeyForm.FOREIGN):
        return None
    key, ends_at = _key_of(digest_of(text))
    if key is None or key_state(key, clock.now()) != "active" or not _place_stands(key):
        return None
    if key.user is None:
        return _program(key, ends_at)
    membership = _living_membership(key)
    if membership is None:
        return None
    actor = replace(actor_of_member(key.user, key.organisation, membership, key), ends_at=ends_at)
    if key.kind == KeyKind.MANAGEMENT:
        return actor
    has_keys = actor.authority.scope_of(roles.HAS_KEYS) is not None
    model_key = Actor(key.user, key, key.organisation, role=None, operator=False)
    return model_key if has_keys else None


def _program(key: Key, ends_at: dt.datetime | None) -> Actor | None:
    """The actor of a key that belongs to no person."""
    account = key.service_account
    if key.kind != KeyKind.MANAGEMENT:
        return Actor(None, key, key.organisation, role=None, operator=False)
    if account is None:
        return None
    permissions = account.custom_role.permissions if account.custom_role else ()
    return Actor(
        None,
        key,
        key.organisation,
        Role(account.role),
        operator=False,
        ends_at=ends_at,
        permissions=tuple(permissions),
        teams=frozenset({account.team_id}),
    )


def _place_stands(key: Key) -> bool:
    """Whether where the key belongs is still in use, as `accounts.sql.holder_stands` has it."""
    organisation, account = key.organisation, key.service_account
    ended = organisation.suspended_at or organisation.archived_at or key.team.archived_at
    return not (ended or (account and account.disabled))


def _key_of(digest: bytes) -> tuple[Key | None, dt.datetime | None]:
    """The key whose text has that digest, or had it until it was rotated and may still use it until
    the instant that is then told."""
    keys = Key.objects.select_related(
        "organisation", "team", "user", "service_account__custom_role"
    )
    key = keys.filter(digest=digest).first()
    if key is not None:
        return (key if hmac.compare_digest(bytes(key.digest), digest) else None), None
    former = FormerSecret.objects.filter(digest=digest, until__gt=clock.now()).first()
    if former is None or not hmac.compare_digest(bytes(former.digest), digest):
        return None, None
    return keys.get(id=former.key_id), former.until


def digest_of(text: str) -> bytes:
    """What is stored of a key: its HMAC-SHA-256 under the installation's pepper."""
    return key_format.digest(pepper(), text)


def _living_membership(key: Key) -> Membership | None:
    membership = (
        _memberships()
        .filter(user=key.user_id, user__is_active=True, organisation=key.organisation_id)
        .first()
    )
    teams = teams_of(membership) if membership else None
    return membership if teams is None or key.team_id in teams else None


def member_actor(request: HttpRequest, organisation: Organisation) -> Actor:
    """The signed-in person as a member of that organisation. Http404 for who is none."""
    user = cast(User, request.user)
    membership = (
        _memberships()
        .filter(user=user, organisation=organisation, organisation__archived_at=None)
        .first()
    )
    if membership is None:
        raise Http404
    return actor_of_member(user, organisation, membership)


def session_actor(request: HttpRequest, user: User) -> Actor | None:
    """The person, in the organisation whose page was seen last."""
    membership = last_membership(request, user)
    if membership is None and not user.operator:
        return None
    return actor_of_member(user, membership.organisation if membership else None, membership)


def last_membership(request: HttpRequest, user: User) -> Membership | None:
    """The membership whose pages this session saw last, else the person's first."""
    mine = list(
        _memberships().filter(user=user, organisation__archived_at=None).order_by("created_at")
    )
    last = request.session.get(LAST_ORGANISATION)
    return next(
        (membership for membership in mine if membership.organisation.slug == last), None
    ) or next(iter(mine), None)


# Objects ----------------------------------------------------------------------------------------


def one_of(rows: QuerySet[Row], id: str | uuid.UUID | int | None) -> Row:
    """The row with that id, or with the id of that text. Http404 when none of these has it."""
    wanted = parse_id(id) if isinstance(id, str) else id
    row = rows.filter(pk=wanted).first() if wanted else None
    if row is None:
        raise Http404
    return row


def one_named(rows: QuerySet[Row], slug: str) -> Row:
    """The row of that slug. Http404 when none of these has it; no slug has a zero byte."""
    row = rows.filter(slug=slug).first() if "\0" not in slug else None
    if row is None:
        raise Http404
    return row


def visible_keys(actor: Actor) -> QuerySet[Key]:
    """The keys that the actor may list, newest first; the playground's own is nobody's to see."""
    require(actor, "keys.read")
    keys = (
        Key.objects.filter(organisation=actor.organisation)
        .exclude(kind=KeyKind.PLAYGROUND)
        .select_related("user", "team", "organisation", "service_account", "project")
        .prefetch_related("former_secrets")
        .order_by("-id")
    )
    if actor.model_key:
        return keys.filter(id=actor.model_key.id)
    scope = scope_of(actor, "keys.read")
    if scope == "own":
        return keys.filter(user=actor.user)
    return keys.filter(team__in=actor.teams or ()) if scope == "teams" else keys


def living_keys(actor: Actor) -> QuerySet[Key]:
    """The keys that the actor may list and that open something now, newest first."""
    keys = visible_keys(actor).filter(revoked_at=None, disabled=False)
    return keys.exclude(expires_at__lte=clock.now())


def payable_keys(actor: Actor, operation: str = "chat_completions") -> QuerySet[Key]:
    """The keys that what the actor asks on a page may be charged to: living model keys that are its
    own, or nobody's own as far as it may list them. One that is kept to networks is a server's."""
    require(actor, "playground.use")
    keys = living_keys(actor).filter(kind=KeyKind.RELAY, networks=[])
    calls = Q(endpoints=[]) | Q(endpoints__contains=[operation])
    return keys.filter(calls, Q(user=None) | Q(user=actor.user))


def access_payable_key(actor: Actor, id: str) -> Key:
    """One of `payable_keys`. Http404 when it is none of them."""
    return one_of(payable_keys(actor), id)


def access_key(actor: Actor, id: str | uuid.UUID) -> Key:
    """One key that the actor may see. Http404 when it is another's or none."""
    return one_of(visible_keys(actor), id)


def may_write_key(actor: Actor, key: Key) -> bool:
    """Whether the actor may change or revoke a key that it sees: its own, or all of them."""
    scope = scope_of(actor, "keys.write")
    if scope == "all" or (scope == "teams" and key.team_id in (actor.teams or ())):
        return True
    own = actor.user is not None and key.user_id == actor.user.id
    return own and scope_of(actor, "keys.write_own") is not None


def writable_key(actor: Actor, id: str | uuid.UUID) -> Key:
    """One key that the actor may change or revoke. Http404 when unseen, AccessDenied when not."""
    key = access_key(actor, id)
    if not may_write_key(actor, key):
        require(actor, "keys.write")
    return key


def visible_teams(actor: Actor) -> QuerySet[Team]:
    """The teams of the organisation that are the actor's, archived ones too, oldest first."""
    teams = Team.objects.filter(organisation=actor.organisation).order_by("created_at", "id")
    if actor.key and actor.key.kind != KeyKind.MANAGEMENT:
        return teams.filter(id=actor.key.team_id)
    return teams if actor.teams is None else teams.filter(id__in=actor.teams)


def access_team(actor: Actor, slug: str | None = None) -> Team:
    """A team of the actor's that is in use, by default its first. Http404 when there is none."""
    teams = visible_teams(actor).filter(archived_at=None)
    team = (teams.filter(slug=slug) if slug else teams).first()
    if team is None:
        raise Http404
    return team


def require_all_teams(actor: Actor) -> None:
    """Raise AccessDenied for who is limited to teams: a new one would be none of theirs."""
    if actor.teams is not None:
        raise AccessDenied(gettext("Only members of all teams can do this."))


def access_any_team(actor: Actor, slug: str) -> Team:
    """A team of the actor's, archived ones too. Http404 when there is none such."""
    require(actor, "teams.read")
    return one_named(visible_teams(actor), slug)


def writable_team(actor: Actor, slug: str) -> Team:
    """A team that the actor may change, archived ones too. Http404 when it is none of theirs."""
    require(actor, "teams.write")
    return access_any_team(actor, slug)


def visible_projects(actor: Actor) -> QuerySet[Project]:
    """The projects of the actor's teams, archived ones too, by name."""
    require(actor, "teams.read")
    projects = Project.objects.filter(team__in=visible_teams(actor))
    return projects.select_related("team", "organisation").order_by("name", "id")


def access_project(actor: Actor, slug: str) -> Project:
    """One project of the actor's teams. Http404 when there is none such."""
    return one_named(visible_projects(actor), slug)


def writable_project(actor: Actor, slug: str) -> Project:
    """One project that the actor may change. Http404 when there is none such."""
    require(actor, "teams.write")
    return access_project(actor, slug)


def visible_service_accounts(actor: Actor) -> QuerySet[ServiceAccount]:
    """The service accounts of the actor's teams, by name; a developer sees none."""
    require(actor, "keys.read")
    accounts = ServiceAccount.objects.filter(team__in=visible_teams(actor))
    if scope_of(actor, "keys.read") == "own":
        accounts = accounts.none()
    return accounts.select_related("team", "custom_role", "organisation").order_by("name", "id")


def writable_service_account(actor: Actor, id: str) -> ServiceAccount:
    """One that the actor may change, and make keys for. Http404 when there is none such."""
    require(actor, "keys.write")
    return one_of(visible_service_accounts(actor), id)


def all_organisations(actor: Actor) -> QuerySet[Organisation]:
    """Every organisation of the installation, for operators, by name."""
    require(actor, "organisations.read")
    return Organisation.objects.order_by("name", "id")


def access_organisation(actor: Actor, slug: str) -> Organisation:
    """One organisation of the installation, for operators. Http404 when there is none such."""
    return one_named(all_organisations(actor), slug)


def all_people(actor: Actor) -> QuerySet[User]:
    """Every person of the installation, for operators, by address."""
    require(actor, "organisations.read")
    return User.objects.order_by("email", "id")


def access_person(actor: Actor, id: str) -> User:
    """One person of the installation, for operators. Http404 when there is none such."""
    return one_of(all_people(actor), parse_number(id))


def living_former_secrets(key: Key, now: dt.datetime) -> list[FormerSecret]:
    """What still opens a key beside its own secret, the one that ends last first."""
    living = [former for former in key.former_secrets.all() if former.until > now]
    return sorted(living, key=lambda former: former.until, reverse=True)


def key_state(key: Key, now: dt.datetime) -> str:
    """`active`, `disabled`, `expired` or `revoked`, at the instant given."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "disabled" if key.disabled else "active"
