"""Single sign-on of an organisation: its configuration, and who signs in with which role."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.access.access import access_organisation, get_by_id, require
from accounts.access.actors import SYSTEM, Actor, organisation_of
from accounts.audit import audit
from accounts.members import members
from accounts.members.forms import role_label
from accounts.models import CustomRole, Membership, Organisation, Role, SingleSignOn, Team, User
from accounts.names.email_domains import domain_of, is_domain
from accounts.secrets.sealing import open_sealed, seal
from accounts.sessions import security_changes
from accounts.sign_on_connections import connections as sign_on_connections
from accounts.sign_on_connections.connections import confirmed_domains, provider_id
from accounts.single_sign_on import rules as rules
from accounts.single_sign_on.oidc import GuardedSession, OrganisationProvider, discover_provider
from lib.ids import parse_id
from lib.refusal import Refused

TESTED: Final = "single_sign_on_tested"
"""The session key under which a test of single sign-on stores the claims."""

_WORDS: Final[dict[rules.Refusal, Promise]] = {
    "no_email": gettext_lazy("Your identity provider sent no email address."),
    "unverified_email": gettext_lazy(
        "Your identity provider has not verified your email address. Verify it there first."
    ),
    "foreign_domain": gettext_lazy(
        "Your email address is not at a domain of this organisation. Sign in another way, then "
        "connect single sign-on under Account and security."
    ),
    "unconfirmed_domain": gettext_lazy(
        "An operator has not confirmed the domains of this organisation yet. Sign in another way, "
        "then connect single sign-on under Account and security."
    ),
    "connect_first": gettext_lazy(
        "Single sign-on does not open this account by its email address, because the account "
        "belongs to an operator or to another organisation too. Sign in another way, then "
        "connect single sign-on under Account and security."
    ),
    "no_role": gettext_lazy(
        "Your groups give no access here. Ask an owner of the organisation to add one of them."
    ),
}


# Setting up -------------------------------------------------------------------------------------


def access_single_sign_on(actor: Actor) -> SingleSignOn:
    """Return the configuration of the actor's organisation, for those who may change it. Raises
    Http404."""
    require(actor, "sign_in.write")
    return _present(organisation_of(actor))


def access_single_sign_on_of(actor: Actor, slug: str) -> SingleSignOn:
    """Return the configuration of any organisation, for operators. Raises Http404 without one."""
    return _present(access_organisation(actor, slug))


def _present(organisation: Organisation) -> SingleSignOn:
    row = single_sign_on_of(organisation)
    if row is None:
        raise Http404
    return row


def single_sign_on_of(organisation: Organisation) -> SingleSignOn | None:
    return SingleSignOn.objects.filter(organisation=organisation).first()


def save_single_sign_on(
    actor: Actor,
    organisation: Organisation,
    *,
    secret: str = "",
    keep_session: str | None = None,
    **fields: Any,
) -> SingleSignOn:
    """Create or change the single sign-on configuration. An empty secret keeps the stored one.

    A new issuer or client drops the stored secret, so that it is never sent to another server. It
    also ends every confirmation and connection, and the sessions that used them, except the one
    with the key `keep_session` that makes the change. A new domain must be confirmed; a domain that
    an operator saves is confirmed. Raises Refused.
    """
    fields = {**fields, "issuer": fields["issuer"].strip().rstrip("/")}
    with transaction.atomic():
        row = sign_on_connections.lock_single_sign_on(organisation)
        row = row or SingleSignOn(organisation=organisation)
        _check(organisation, fields)
        before, confirmed = describe_settings(row), confirmed_domains(row)
        created = row._state.adding
        moved = _is_moved(row, fields)
        if not secret and _is_elsewhere(row, fields):
            raise Refused("secret", gettext("Enter the client secret again."))
        for name in _FIELDS:
            setattr(row, name, fields[name])
        if secret:
            row.sealed = seal(secret, _seal_context(row))
        kept = [] if moved else [domain for domain in row.domains if domain in confirmed]
        sign_on_connections.confirm(row, row.domains if actor.operator else kept)
        row.save()
        if moved:
            sign_on_connections.end_connections(row, keep_session=keep_session)
        elif gone := set(confirmed) - set(row.domains):
            sign_on_connections.end_connections_of_domains(row, gone, keep_session=keep_session)
        after = describe_settings(row)
        if created or secret or before != after or confirmed != confirmed_domains(row):
            audit.record(
                actor, organisation, "single_sign_on.saved", row,
                before=before, after=after, secret_replaced=bool(secret),
            )  # fmt: skip
    return row


def remove_single_sign_on(
    actor: Actor, row: SingleSignOn, *, keep_session: str | None = None
) -> None:
    """Remove the configuration with its connections and the sessions that used them, except the one
    with the key `keep_session`, unless others have removed it meanwhile. People without a password
    request a new one."""
    with transaction.atomic():
        locked = SingleSignOn.objects.select_for_update().filter(pk=row.pk).first()
        if locked is None:
            return
        before = describe_settings(locked)
        audit.record(actor, row.organisation, "single_sign_on.removed", locked, before=before)
        sign_on_connections.end_connections(locked, keep_session=keep_session)
        locked.delete()


def facts_of(row: SingleSignOn) -> dict[str, Any]:
    """Return the facts that an operator checks before confirming the domains. The confirmation
    covers all of them together."""
    return {"issuer": row.issuer, "client_id": row.client_id, "domains": row.domains}


def confirm_domains(actor: Actor, row: SingleSignOn, *, seen: Mapping[str, Any]) -> SingleSignOn:
    """Record an operator's confirmation that the organisation owns the domains, with this issuer
    and client. People with addresses at these domains may then join by single sign-on. Raises
    Refused if `seen`, the `facts_of` the configuration that the operator saw, is out of date."""
    with transaction.atomic():
        locked = get_object_or_404(SingleSignOn.objects.select_for_update(), pk=row.pk)
        if not locked.domains or dict(seen) != facts_of(locked):
            text = gettext("The issuer, client or domains have changed. Check them again.")
            raise Refused("domains", text)
        if confirmed_domains(locked) != locked.domains:
            sign_on_connections.confirm(locked, locked.domains)
            locked.save(update_fields=_CONFIRMATION)
            facts = facts_of(locked)
            audit.record(actor, row.organisation, "single_sign_on.confirmed", locked, **facts)
    return locked


def unconfirm_domains(actor: Actor, row: SingleSignOn) -> SingleSignOn:
    """Withdraw the confirmation, and end the connections that it permitted and the sessions that
    used them."""
    with transaction.atomic():
        locked = get_object_or_404(SingleSignOn.objects.select_for_update(), pk=row.pk)
        if locked.confirmed_domains:
            domains = confirmed_domains(locked)
            sign_on_connections.confirm(locked, [])
            locked.save(update_fields=_CONFIRMATION)
            sign_on_connections.end_connections_of_domains(locked, domains)
            audit.record(
                actor, row.organisation, "single_sign_on.unconfirmed", locked, domains=domains
            )
    return locked


def secret_of(row: SingleSignOn) -> str:
    """Return the client secret, to send it to the provider or to compare it; "" if there is
    none."""
    return open_sealed(row.sealed, _seal_context(row)) if row.sealed else ""


def organisations_with_unconfirmed_domains(organisations: Iterable[UUID]) -> set[UUID]:
    """Return those of the organisations with email domains that an operator has not confirmed."""
    rows = SingleSignOn.objects.filter(organisation__in=list(organisations))
    return {row.organisation_id for row in rows if confirmed_domains(row) != row.domains}


def organisations_with_confirmed_domains(organisations: Iterable[UUID]) -> set[UUID]:
    """Return those of the organisations with an email domain that an operator has confirmed."""
    rows = SingleSignOn.objects.filter(organisation__in=list(organisations))
    return {row.organisation_id for row in rows if confirmed_domains(row)}


_CONFIRMATION: Final = ("confirmed_domains", "confirmed_issuer", "confirmed_client_id")
_FIELDS: Final = (
    "issuer", "client_id", "domains", "group_claim", "group_rules", "default_role", "required",
)  # fmt: skip


def describe_settings(row: SingleSignOn) -> dict[str, Any]:
    """Return all settings except the secret."""
    fields = {name: getattr(row, name) for name in _FIELDS}
    return {**fields, "domains_confirmed": confirmed_domains(row) == row.domains}


def _is_elsewhere(row: SingleSignOn, fields: Mapping[str, Any]) -> bool:
    return _is_moved(row, fields) or not row.sealed


def _is_moved(row: SingleSignOn, fields: Mapping[str, Any]) -> bool:
    return (row.issuer, row.client_id) != (fields["issuer"], fields["client_id"])


def role_choices(organisation: Organisation) -> list[tuple[str, Any]]:
    """Return the roles that a group can have: the built-in ones, and the organisation's own by
    name."""
    built_in = [(role.value, role_label(role)) for role in Role if role != Role.CUSTOM]
    custom = CustomRole.objects.filter(organisation=organisation).order_by("name")
    return [*built_in, *((role.name, role.name) for role in custom)]


def _check(organisation: Organisation, fields: Mapping[str, Any]) -> None:
    """Raise Refused for invalid fields."""
    roles = {name for name, _ in role_choices(organisation)}
    if fields["default_role"] and fields["default_role"] not in roles:
        raise Refused("default_role", gettext("There is no such role."))
    if wrong := [domain for domain in fields["domains"] if not is_domain(domain)]:
        text = gettext("%(name)s is not a domain such as example.org.")
        raise Refused("domains", text % {"name": wrong[0][:80]})
    for name, most in (("domains", rules.DOMAINS_MAX), ("group_rules", rules.RULES_MAX)):
        if len(fields[name]) > most:
            raise Refused(name, gettext("You can list up to %(n)s entries.") % {"n": most})
    slugs = set(organisation.teams.values_list("slug", flat=True))
    for rule in fields["group_rules"]:
        if rule["role"] not in roles:
            text = gettext("There is no role named %(name)s.") % {"name": rule["role"]}
            raise Refused("group_rules", text)
        if unknown := [team for team in rule["teams"] if team not in slugs]:
            text = gettext("There is no team named %(name)s.") % {"name": unknown[0]}
            raise Refused("group_rules", text)


def _seal_context(row: SingleSignOn) -> str:
    return f"accounts_singlesignon|{row.pk}|sealed"


def group_rules_of(row: SingleSignOn) -> list[rules.GroupRule]:
    return [
        rules.GroupRule(rule["group"], rule["role"], tuple(rule["teams"]))
        for rule in row.group_rules
    ]


def granted_by(row: SingleSignOn, claims: Mapping[str, Any]) -> rules.Granted:
    """Return the role and teams for these claims. Raises rules.ClaimsRefused."""
    groups = rules.groups_of(claims, row.group_claim)
    return rules.grant_from_groups(groups, group_rules_of(row), row.default_role)


def check_provider(row: SingleSignOn) -> dict[str, Any]:
    """Return the provider's current configuration. Raises ProviderFailed."""
    return discover_provider(row.issuer)


def row_of_email(email: str) -> SingleSignOn | None:
    """Return the configuration for an address, by its confirmed domain."""
    rows = sign_on_connections.rows_of_domain(domain_of(email))
    return rows.order_by("created_at", "id").first()


def connections_of(user: User) -> list[tuple[SingleSignOn, str, bool]]:
    """Return, for each of the person's organisations with single sign-on, the configuration, the
    provider id, and whether the person has a connection that may sign in."""
    rows = SingleSignOn.objects.select_related("organisation")
    mine = rows.filter(organisation__memberships__user=user).order_by("organisation__name")
    accounts = {account.provider: account for account in SocialAccount.objects.filter(user=user)}
    return [
        (row, id, _may_sign_in(row, accounts.get(id), user))
        for row in mine
        for id in (provider_id(row),)
    ]


def _may_sign_in(row: SingleSignOn, account: SocialAccount | None, user: User) -> bool:
    return account is not None and sign_on_connections.opens(row, account, user)


# Signing in -------------------------------------------------------------------------------------


class NoSuchProvider(SocialApp.DoesNotExist, ValueError):  # type: ignore[misc]
    """The organisation has no single sign-on with that id. Its base classes are what allauth
    expects when it continues a sign-in that was waiting for a second factor."""


class SingleSignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Our settings for allauth.socialaccount."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        id = parse_id(provider) if provider else None
        if id is None:
            return []
        rows = SingleSignOn.objects.select_related("organisation").filter(pk=id)
        return [_app(row) for row in rows]

    def get_provider(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> OrganisationProvider:
        try:
            return OrganisationProvider(request, self.get_app(request, provider=provider))
        except SocialApp.DoesNotExist as error:
            raise NoSuchProvider from error

    def get_requests_session(self) -> GuardedSession:
        return GuardedSession()

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: SocialAccount) -> str:
        return resolve_url("mfa_index")

    def can_authenticate_by_email(self, login: SocialLogin, email: str) -> bool:
        return False  # only after the rules of `pre_social_login`

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        rows = SingleSignOn.objects.select_related("organisation")
        row = get_by_id(rows, sociallogin.account.provider)
        claims = sociallogin.account.extra_data["userinfo"]
        # Do not store claims: `uid` identifies the person. If the connection exists, allauth has
        # saved them by now.
        sociallogin.account.extra_data = {}
        if sociallogin.is_existing:
            sociallogin.account.save(update_fields=["extra_data"])
        if (sociallogin.state.get("data") or {}).get("test"):
            request.session[TESTED] = claims
            return
        try:
            _come_in(request, row, sociallogin, claims)
        except rules.ClaimsRefused as refused:
            text = str(_WORDS[refused.reason])
            raise ImmediateHttpResponse(refusal(request, text)) from refused

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None,
        extra_context: Any = None,
    ) -> None:  # fmt: skip
        text = gettext("Single sign-on failed. Start again from the sign-in page.")
        raise ImmediateHttpResponse(refusal(request, text, str(exception or "")))


def _app(row: SingleSignOn) -> SocialApp:
    return SocialApp(
        provider="openid_connect",
        provider_id=provider_id(row),
        name=row.organisation.name[:40],
        client_id=row.client_id,
        secret=secret_of(row),
        settings={"server_url": row.issuer, "oauth_pkce_enabled": True},
    )


def refusal(request: HttpRequest, text: str, detail: str = "") -> HttpResponse:
    context = {"text": text, "detail": detail}
    response = render(request, "socialaccount/refused.html", context, status=403)
    response["Cache-Control"] = "private, no-store"
    return response


def _come_in(
    request: HttpRequest, row: SingleSignOn, login: SocialLogin, claims: Mapping[str, Any]
) -> None:
    """Find, connect or create the person, and apply the claims to the membership. Raises
    rules.ClaimsRefused."""
    if login.state.get("process") == "connect":
        _connect_own(request, login, row)
        return
    with transaction.atomic():
        # The lock makes changes of issuer, client, domains or confirmation wait, and new names of
        # roles.
        row = SingleSignOn.objects.select_for_update().get(pk=row.pk)
        grant = granted_by(row, claims)
        if not login.is_existing:
            email = rules.email_of_domain(claims, row.domains, confirmed_domains(row))
            person = members.add_person(email, actor=SYSTEM)
            if not sign_on_connections.may_come_by_domain(person, row):
                raise rules.ClaimsRefused("connect_first")
            _drop_strangers_password(person)
            _connect(request, login, row, person)
        _check_opens(row, login)
        user: User = login.user
        if user.is_active:
            _set_membership(row.organisation, user, grant)


def _connect_own(request: HttpRequest, login: SocialLogin, row: SingleSignOn) -> None:
    """Connect the provider's account to the signed-in person. A connection by domain becomes the
    person's own."""
    if not isinstance(request.user, User):
        return
    with transaction.atomic():
        if not login.is_existing:
            _connect(request, login, row, request.user)
        if login.user == request.user:
            sign_on_connections.mark_own(login.account)


def _check_opens(row: SingleSignOn, login: SocialLogin) -> None:
    """Raise ClaimsRefused for a connection by domain if the domain is no longer confirmed, or if
    the person has become an operator or a member of another organisation."""
    if not sign_on_connections.opens(row, login.account, login.user):
        confirmed = domain_of(login.user.email) in confirmed_domains(row)
        raise rules.ClaimsRefused("connect_first" if confirmed else "unconfirmed_domain")


def _drop_strangers_password(user: User) -> None:
    """Remove the password of an account whose owner never proved the address. The provider has now
    verified the address for a person, and the account is theirs."""
    if user.last_login is None and user.has_usable_password():
        user.set_unusable_password()
        user.save(update_fields=["password"])


def _connect(request: HttpRequest, login: SocialLogin, row: SingleSignOn, user: User) -> None:
    login.connect(request, user)
    security_changes.record_use(request, user, "single_sign_on.joined", by=row.organisation.name)


def _set_membership(organisation: Organisation, user: User, grant: rules.Granted) -> None:
    """Apply the role that the groups give. An owner stays an owner, so that a provider cannot lock
    out everybody. Raises rules.ClaimsRefused for a role that does not exist."""
    membership = Membership.objects.filter(organisation=organisation, user=user).first()
    if membership is not None and membership.role == Role.OWNER:
        return
    custom = CustomRole.objects.filter(organisation=organisation, name=grant.role).first()
    if custom is None and grant.role not in Role.values:
        raise rules.ClaimsRefused("no_role")
    role = Role.CUSTOM if custom else Role(grant.role)
    teams = list(Team.objects.filter(organisation=organisation, slug__in=grant.teams))
    members.set_member(
        organisation,
        user.email,
        role,
        actor=SYSTEM,
        custom_role=custom,
        teams=teams if grant.teams and role != Role.OWNER else None,
    )


def rules_from_lines(text: str) -> list[dict[str, Any]]:
    """Parse the page's text of group rules, one per line: `group = role` or `group = role: team,
    team`. Raises Refused."""
    return [_rule_from_line(line) for line in _nonempty_lines(text)]


def _nonempty_lines(text: str) -> Iterable[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _rule_from_line(line: str) -> dict[str, Any]:
    group, equals, rest = line.rpartition("=")
    role, _, teams = rest.partition(":")
    if not equals or not group.strip() or not role.strip():
        text = gettext("Enter a group and a role in each row.")
        raise Refused("group_rules", text)
    named = [team.strip() for team in teams.split(",") if team.strip()]
    return {"group": group.strip(), "role": role.strip(), "teams": named}


def rules_as_lines(row: SingleSignOn) -> str:
    return "\n".join(
        f"{rule.group} = {rule.role}" + (f": {', '.join(rule.teams)}" if rule.teams else "")
        for rule in group_rules_of(row)
    )
