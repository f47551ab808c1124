"""The page that the link of an invitation opens (W02)."""

from typing import cast

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from django.contrib import messages
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.access.actors import LAST_ORGANISATION
from accounts.guards.guards import public
from accounts.members import invitations
from accounts.members.forms import NewPersonForm, role_label
from accounts.members.invitation_views import teams_text
from accounts.members.invitations import InvitationEnded, state_of
from accounts.models import Invitation, SignUpMode, User
from accounts.sign_up import sign_up
from accounts.sign_up.conditions import current_mode
from accounts.throttled_forms.throttled_forms import throttle_view
from lib import clock
from lib.htmx import see_other
from lib.refusal import Refused


@public
@never_cache
@throttle_view("sign_up")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, text: str) -> HttpResponseBase:
    # Opening the page does not use up the link, because mail programs and chats open links by
    # themselves.
    invitation_and_offer = invitations.find_invitation(text)
    if invitation_and_offer is None:
        return _show_ended_invitation(request, "unknown")
    offered, mailed = invitation_and_offer
    state = state_of(offered, clock.now())
    if state != "pending":
        return _show_ended_invitation(request, state)
    user = request.user if isinstance(request.user, User) else None
    new = mailed and not invitations.has_account(offered) and current_mode() != SignUpMode.OFF
    form = NewPersonForm(request.POST or None) if new and user is None else None
    wrong = ""
    if request.method == "POST":
        try:
            if user is not None:
                return _accept_and_redirect(request, offered, user)
            if form is not None and form.is_valid():
                return _signed_up(request, offered, form)
        except InvitationEnded:
            offered.refresh_from_db()
            return _show_ended_invitation(request, state_of(offered, clock.now()))
        except Refused as refused:
            wrong = refused.message
    invitations.remember_invitation(request, text)
    return _offer(request, offered, form, wrong, mailed=mailed)


def _accept_and_redirect(request: HttpRequest, offered: Invitation, user: User) -> HttpResponseBase:
    organisation = invitations.accept(offered, user).organisation
    request.session[LAST_ORGANISATION] = organisation.slug
    messages.success(request, gettext("Welcome to %(name)s.") % {"name": organisation.name})
    return see_other("home", organisation.slug)


def _signed_up(request: HttpRequest, offered: Invitation, form: NewPersonForm) -> HttpResponseBase:
    """Create the person of an emailed invitation, and sign them in the usual way."""
    data = form.cleaned_data
    # Hash the password before the transaction, because it takes long.
    hashed = make_password(data["password"])
    member = invitations.accept_as_new(offered, data["name"], hashed)
    request.session[LAST_ORGANISATION] = member.organisation.slug
    login = Login(
        user=member.user,
        # The link arrived by email, which confirms the address.
        email_verification=EmailVerificationMethod.NONE,
        redirect_url=reverse("home", args=[member.organisation.slug]),
    )
    return cast(HttpResponseBase, perform_login(request, login))


def _offer(
    request: HttpRequest,
    offered: Invitation,
    form: NewPersonForm | None,
    wrong: str,
    *,
    mailed: bool,
) -> HttpResponse:
    user = request.user if isinstance(request.user, User) else None
    for_other = bool(user and offered.email and offered.email.lower() != user.email.lower())
    context = {
        "invitation": offered,
        "organisation": offered.organisation,
        "inviter": offered.invited_by,
        "role": role_label(offered),
        "teams": "" if offered.all_teams else teams_text(offered),
        "user": user,
        "for_other": for_other,
        "form": form,
        "wrong": wrong,
        # A visitor with an emailed link and no account gets a form to create one.
        "may_sign_up": not mailed and sign_up.may_sign_up(request),
        "next": request.path,
    }
    refused = bool(wrong or (form is not None and form.is_bound))
    return render(
        request, "accounts/sign_up/invitation.html", context, status=422 if refused else 200
    )


def _show_ended_invitation(request: HttpRequest, state: str) -> HttpResponse:
    return render(request, "accounts/sign_up/invitation_ended.html", {"state": state}, status=410)
