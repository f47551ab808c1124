"""Single sign-on: at sign-in (W02), in a person's own account (W60), and its settings (W57)."""

import json
from typing import Any, cast

from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import operator_page, organisation_page
from accounts.guards.reauthentication import recent_sign_in_required, signed_in_recently
from accounts.models import SingleSignOn, User
from accounts.sign_on_connections.connections import provider_id
from accounts.single_sign_on import single_sign_on
from accounts.single_sign_on.forms import DomainsSeenForm, SingleSignOnForm
from accounts.single_sign_on.oidc import OrganisationOAuth2Adapter, ProviderFailed, callback_url_of
from accounts.single_sign_on.rules import ClaimsRefused
from lib.htmx import redirect_to, render_dialog, see_other
from lib.network.egress import EgressDenied, host_and_port
from lib.refusal import Refused

_CONNECTING = "single_sign_on_connecting"
_settings_sign_in_required = recent_sign_in_required(
    gettext_lazy("change single sign-on"),
    gettext_lazy("Settings"),
    gettext_lazy("Single sign-on"),
)
_domains_sign_in_required = recent_sign_in_required(
    gettext_lazy("decide on email domains"),
    gettext_lazy("Organisations"),
    gettext_lazy("Email domains"),
)


# Signing in -------------------------------------------------------------------------------------


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """Redirect from an email address to its identity provider."""
    email = request.GET.get("email", "").replace("\x00", "")[:254]
    row = single_sign_on.row_of_email(email) if "@" in email else None
    context = {
        "email": email,
        "row": row,
        "id": provider_id(row) if row else "",
        "host": _host(row) if row else "",
        "query": urlencode({"next": back}) if (back := get_next_redirect_url(request)) else "",
    }
    return render(request, "socialaccount/find.html", context)


@require_safe
def start(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    return _enter_provider(OAuth2LoginView, request, provider_id)


@require_safe
def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    return _enter_provider(OAuth2CallbackView, request, provider_id)


def _enter_provider(view: Any, request: HttpRequest, provider_id: str) -> HttpResponseBase:
    try:
        adapter = OrganisationOAuth2Adapter(request, provider_id)
        return cast(HttpResponseBase, view.adapter_view(adapter)(request))
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    except ProviderFailed as error:
        text = gettext("The identity provider is unavailable right now. Sign in another way.")
        return single_sign_on.refusal(request, text, str(error))


def _host(row: SingleSignOn) -> str:
    try:
        return host_and_port(row.issuer)[0]
    except EgressDenied:
        return row.issuer


# Connecting one's account -----------------------------------------------------------------------


@require_POST
def connect(request: HttpRequest, id: str) -> HttpResponse:
    """Ask for confirmation before redirecting, so that a link from another person cannot send
    somebody to a provider."""
    rows = single_sign_on.connections_of(cast(User, request.user))
    row = next((row for row, own_id, _ in rows if own_id == id), None)
    if row is None:
        raise Http404
    if not signed_in_recently(request, but_by=id):
        # Otherwise, whoever runs the provider could turn a connection by domain into the person's
        # own.
        text = gettext(
            "You signed in through this provider. To connect it, sign out, sign in another way "
            "(for example with your password), and connect it then."
        )
        return single_sign_on.refusal(request, text)
    request.session[_CONNECTING] = id
    return render(request, "socialaccount/connect.html", {"row": row, "host": _host(row)})


@require_safe
def connect_start(request: HttpRequest) -> HttpResponseBase:
    id = request.session.pop(_CONNECTING, "")
    if not id:
        raise Http404
    return _redirect(request, id, process="connect", next_url="/account/security")


def _redirect(request: HttpRequest, id: str, **kwargs: Any) -> HttpResponseBase:
    adapter = OrganisationOAuth2Adapter(request, id)
    try:
        return cast(HttpResponseBase, adapter.get_provider().redirect(request, **kwargs))
    except ProviderFailed as error:
        return single_sign_on.refusal(request, str(error))


# Settings ---------------------------------------------------------------------------------------


@organisation_page("sign_in.write")
@require_http_methods(["GET", "HEAD", "POST"])
@_settings_sign_in_required
def settings_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = organisation_of(actor)
    row = single_sign_on.single_sign_on_of(organisation)
    roles = single_sign_on.role_choices(organisation)
    form = SingleSignOnForm(request.POST or None, slug=slug_of(actor), row=row, roles=roles)
    if request.method == "POST" and form.is_valid():
        try:
            single_sign_on.save_single_sign_on(
                actor,
                organisation,
                keep_session=request.session.session_key,
                **form.cleaned_data,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Single sign-on was saved."))
            return see_other("single_sign_on", organisation.slug)
    status = 422 if form.errors else 200
    return render(request, "socialaccount/settings.html", _context(request, actor, row, form),
                  status=status)  # fmt: skip


def _context(
    request: HttpRequest, actor: Actor, row: SingleSignOn | None, form: SingleSignOnForm
) -> dict[str, Any]:
    claims = request.session.pop(single_sign_on.TESTED, None) if row else None
    return {
        "row": row,
        "form": form,
        "unconfirmed": row and not single_sign_on.describe_settings(row)["domains_confirmed"],
        "callback": callback_url_of(provider_id(row)) if row else "",
        "claims": sorted(claims.items()) if claims else (),
        "outcome": _outcome(row, claims) if row and claims else "",
    }


def _outcome(row: SingleSignOn, claims: dict[str, Any]) -> str:
    try:
        grant = single_sign_on.granted_by(row, claims)
    except ClaimsRefused:
        return gettext("No role matches these claims.")
    names = dict(single_sign_on.role_choices(row.organisation))
    if grant.role not in names:
        return gettext("There is no role named %(name)s.") % {"name": grant.role}
    teams = ", ".join(grant.teams) or gettext("all teams")
    text = gettext("These claims give the role %(role)s in %(teams)s.")
    return text % {"role": names[grant.role], "teams": teams}


@organisation_page("sign_in.write")
@require_POST
@_settings_sign_in_required
def remove(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    row = single_sign_on.access_single_sign_on(actor)
    keep = request.session.session_key
    single_sign_on.remove_single_sign_on(actor, row, keep_session=keep)
    messages.success(request, gettext("Single sign-on was removed."))
    return see_other("single_sign_on", organisation_of(actor).slug)


@organisation_page("sign_in.write")
@require_safe
def test(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Sign in at the provider, then return and show its claims."""
    back = request.path.removesuffix("/test")
    id = provider_id(single_sign_on.access_single_sign_on(actor))
    return _redirect(request, id, process="redirect", next_url=back, data={"test": True})


# Operators --------------------------------------------------------------------------------------


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
@_domains_sign_in_required
def domains_confirm(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    row = single_sign_on.access_single_sign_on_of(actor, slug)
    facts = single_sign_on.facts_of(row)
    form = DomainsSeenForm(request.POST or None, initial={"seen": facts})
    if request.method == "POST" and form.is_valid():
        try:
            single_sign_on.confirm_domains(actor, row, seen=form.cleaned_data["seen"])
        except Refused as refused:
            refused.add_to(form)
            form.data = {"seen": json.dumps(facts)}
        else:
            text = gettext("The email domains of %(name)s are confirmed.")
            messages.success(request, text % {"name": row.organisation.name})
            return redirect_to(request, "organisations")
    context = {
        "form": form,
        "title": gettext("Confirm email domains"),
        "line": gettext(
            "%(name)s lists %(domains)s, with the identity provider %(issuer)s and the client "
            "%(client)s. Once confirmed, everyone with a verified address at these domains signs "
            "in as its member through this provider, including people who already have an "
            "account, but no operators and no members of other organisations. Check that the "
            "organisation controls the domains and the provider."
        )
        % {
            "name": row.organisation.name,
            "domains": ", ".join(row.domains),
            "issuer": row.issuer,
            "client": row.client_id,
        },
        "verb": gettext("Confirm"),
        "back": reverse("organisations"),
        "back_text": gettext("Organisations"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=bool(form.errors)
    )


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
@_domains_sign_in_required
def domains_unconfirm(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    row = single_sign_on.access_single_sign_on_of(actor, slug)
    if request.method == "POST":
        single_sign_on.unconfirm_domains(actor, row)
        text = gettext("The email domains of %(name)s are no longer confirmed.")
        messages.success(request, text % {"name": row.organisation.name})
        return redirect_to(request, "organisations")
    line = gettext(
        "People of %(name)s whom single sign-on connected by their address at %(domains)s are "
        "signed out, and can no longer sign in with it. Connections that people made themselves "
        "remain."
    )
    context = {
        "form": Form(),
        "title": gettext("Withdraw confirmation of email domains"),
        "line": line % {"name": row.organisation.name, "domains": ", ".join(row.domains)},
        "verb": gettext("Withdraw"),
        "back": reverse("organisations"),
        "back_text": gettext("Organisations"),
    }
    return render_dialog(request, "accounts/organisations/form_dialog.html", context, refused=False)
