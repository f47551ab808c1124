"""What an operator has confirmed about an organisation's single sign-on, and what ends with it.

    confirmed domain    an operator's confirmation of one domain, one issuer and one client together
    connection          links a person at the provider to a person here; it belongs to issuer and
                        client
      by domain         created at sign-in by an address at a confirmed domain; it depends on the
                        confirmation too, and never opens the account of an operator or of a
                        member of another organisation
      own (OwnConnection)  created by the person while signed in another way
    session             began, or was confirmed, by a connection

Whoever runs an identity provider can sign in as everybody who is connected to it. `end_connections`
therefore ends the sessions with the connections.
"""

from collections.abc import Collection, Iterable
from typing import Final

from allauth.account.authentication import get_authentication_records
from allauth.socialaccount.models import SocialAccount
from django.db.models import F, QuerySet
from django.http import HttpRequest

from accounts.models import Membership, Organisation, OwnConnection, SingleSignOn, User
from accounts.names.email_domains import domain_of
from accounts.sessions import sessions
from lib.database.tenancy import use_tenant
from lib.ids import id_text

_METHOD: Final = "socialaccount"
"""allauth's name for a sign-in by a provider, in the records of a session."""


def provider_id(row: SingleSignOn) -> str:
    """Return the identifier of the provider in addresses, connections and session records."""
    return id_text(row.pk)


def lock_single_sign_on(organisation: Organisation) -> SingleSignOn | None:
    """Lock and return the organisation's single sign-on, and lock the organisation, in the order of
    a sign-in. Whatever reads or changes the roles that it names takes these locks first."""
    rows = SingleSignOn.objects.filter(organisation=organisation)
    rows.select_for_update().first()
    Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
    # The lock on the organisation serialises what creates the first one.
    return rows.first()


# Confirmed domains ------------------------------------------------------------------------------


def confirmed_domains(row: SingleSignOn) -> list[str]:
    """Return the listed domains that an operator has confirmed for the current issuer and
    client."""
    if (row.confirmed_issuer, row.confirmed_client_id) != (row.issuer, row.client_id):
        return []
    return [domain for domain in row.domains if domain in row.confirmed_domains]


def confirm(row: SingleSignOn, domains: Iterable[str]) -> None:
    """Set, without saving, the domains confirmed for the current issuer and client."""
    row.confirmed_domains = list(domains)
    row.confirmed_issuer, row.confirmed_client_id = row.issuer, row.client_id


def rows_of_domain(domain: str) -> QuerySet[SingleSignOn]:
    """Return the configurations for which an operator has confirmed that domain."""
    return SingleSignOn.objects.filter(
        domains__contains=[domain],
        confirmed_domains__contains=[domain],
        confirmed_issuer=F("issuer"),
        confirmed_client_id=F("client_id"),
    )


# Connections ------------------------------------------------------------------------------------


def is_own(account: SocialAccount) -> bool:
    """Return whether the person created the connection while signed in another way."""
    with use_tenant(None):
        return OwnConnection.objects.filter(account=account).exists()


def mark_own(account: SocialAccount) -> None:
    """Record that the person created this connection, or took it over."""
    with use_tenant(None):
        OwnConnection.objects.get_or_create(account=account)


def may_come_by_domain(user: User, row: SingleSignOn) -> bool:
    """Return whether an address at the organisation's provider is enough to sign in to that
    account. For an operator or a member of another organisation it never is."""
    if user.operator:
        return False
    with use_tenant(None):
        others = Membership.objects.filter(user=user).exclude(organisation=row.organisation_id)
        return not others.exists()


def opens(row: SingleSignOn, account: SocialAccount, user: User) -> bool:
    """Return whether an existing connection may sign the person in now."""
    if is_own(account):
        return True
    return domain_of(user.email) in confirmed_domains(row) and may_come_by_domain(user, row)


def end_connections(row: SingleSignOn, *, keep_session: str | None = None) -> None:
    """End every connection to the provider, and the sessions that signed in by one, except the
    session with the key `keep_session`."""
    with use_tenant(None):
        _end(row, SocialAccount.objects.filter(provider=provider_id(row)), keep_session)


def end_connections_of_domains(
    row: SingleSignOn, domains: Collection[str], *, keep_session: str | None = None
) -> None:
    """End the connections that people at these domains have by their domain, and the sessions that
    used them, except `keep_session`."""
    with use_tenant(None):
        accounts = SocialAccount.objects.filter(provider=provider_id(row), own=None)
        chosen = [
            account.pk
            for account in accounts.select_related("user")
            if domain_of(account.user.email) in domains
        ]
        _end(row, SocialAccount.objects.filter(pk__in=chosen), keep_session)


def end_connections_by_domain(user: User) -> None:
    """End a person's connections by domain, and all of the person's sessions that began by them."""
    with use_tenant(None):
        accounts = SocialAccount.objects.filter(user=user, own=None)
        providers = set(accounts.values_list("provider", flat=True))
        accounts.delete()
        sessions.end_signed_in_by([user], providers, "single_sign_on.ended")


def _end(row: SingleSignOn, accounts: QuerySet[SocialAccount], keep_session: str | None) -> None:
    people = list(User.objects.filter(pk__in=accounts.values("user")))
    accounts.delete()
    sessions.end_signed_in_by(people, {provider_id(row)}, "single_sign_on.ended", but=keep_session)


def stale_record(request: HttpRequest, user: User) -> bool:
    """Return whether the session that is about to begin depends on a connection that was ended in
    the meantime, for example while a second factor was awaited."""
    providers = {
        record.get("provider")
        for record in get_authentication_records(request, user)
        if record.get("method") == _METHOD
    }
    if not providers:
        return False
    with use_tenant(None):
        connected = SocialAccount.objects.filter(user=user, provider__in=providers)
        return set(connected.values_list("provider", flat=True)) != providers
