"""Sign-up: the page that creates the first operator (W01), and the setting, for operators (W76)."""

from typing import cast

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.access import ROLE_NAMES
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page, public
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.members.forms import NewPersonForm
from accounts.organisations.choices import pick_organisation
from accounts.sign_up import listed_domains, sign_up
from accounts.sign_up.conditions import sends_letters
from accounts.sign_up.first_run import SetUpDone, is_living, is_set_up, set_up
from accounts.sign_up.words import SIGN_UP_NAMES
from accounts.throttled_forms.throttled_forms import throttle_view
from lib.forms.rows import Cell, RowsText
from lib.htmx import see_other
from lib.refusal import Refused

_LINES_MAX = 40_000


def _domain_input() -> forms.TextInput:
    return forms.TextInput({"autocomplete": "off", "placeholder": "example.org"})


def _role_select() -> forms.Select:
    names = [(role.value, ROLE_NAMES[role.value]) for role in listed_domains.ROLES]
    return forms.Select(choices=[("", "–"), *names])


class SignUpSettingForm(forms.Form):
    """Who may create an account."""

    mode = forms.ChoiceField(
        label=gettext_lazy("Who can sign up"),
        choices=list(SIGN_UP_NAMES.items()),
    )
    captcha = forms.BooleanField(
        label=gettext_lazy("Check browsers"),
        help_text=gettext_lazy(
            "Where anyone can sign up, and from the fourth password reset within an hour, the "
            "browser does a calculation of about a second. It keeps programs out, there is "
            "nothing to solve, and nothing is sent to others."
        ),
        required=False,
    )
    domains = forms.CharField(
        label=gettext_lazy("Email domains"),
        help_text=gettext_lazy(
            "People with a confirmed address at a domain join its organisation in this role."
        ),
        max_length=_LINES_MAX,
        required=False,
        widget=RowsText(
            [
                Cell("domain", gettext_lazy("Domain"), _domain_input),
                Cell("organisation", gettext_lazy("Organisation"), pick_organisation),
                Cell("role", gettext_lazy("Role"), _role_select),
            ],
            listed_domains.split_line,
            "{} = {}: {}".format,
        ),
    )


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_sign_in_required(
    gettext_lazy("change who can sign up"), gettext_lazy("People"), gettext_lazy("Sign-up")
)
def sign_up_settings(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    described = sign_up.describe_settings()
    initial = {**described, "domains": listed_domains.domains_as_lines(described["domains"])}
    form = SignUpSettingForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            domains = listed_domains.domains_from_lines(form.cleaned_data["domains"])
            sign_up.save_sign_up(
                actor,
                mode=form.cleaned_data["mode"],
                captcha=form.cleaned_data["captcha"],
                domains=domains,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Settings saved."))
            return see_other("sign_up_settings")
    context = {"form": form, "sends_emails": sends_letters()}
    status = 422 if form.errors else 200
    return render(request, "accounts/sign_up/sign_up_settings.html", context, status=status)


class SetUpForm(NewPersonForm):
    """The first operator."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )
    field_order = ("email",)


@public
@never_cache
@throttle_view("sign_up")
@require_http_methods(["GET", "HEAD", "POST"])
def set_up_page(request: HttpRequest, text: str) -> HttpResponseBase:
    # Opening the page does not use up the link, because mail programs and chats open links by
    # themselves.
    if not is_living(text):
        return _already_set_up(request)
    form = SetUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        # Hash the password before the transaction, because it takes long.
        hashed = make_password(data["password"])
        try:
            user = set_up(text, data["email"], data["name"], hashed)
        except SetUpDone:
            return _already_set_up(request)
        else:
            record_authentication(request, user, method="password")
            login = Login(
                user=user,
                email_verification=EmailVerificationMethod.NONE,
                redirect_url=reverse("set_up_steps"),
            )
            return cast(HttpResponseBase, perform_login(request, login))
    status = 422 if form.errors else 200
    return render(request, "accounts/sign_up/set_up.html", {"form": form}, status=status)


@public
@never_cache
@require_safe
def set_up_first(request: HttpRequest) -> HttpResponse:
    """Explain how to get the link while there is no operator. Later, redirect to the sign-in
    page."""
    if is_set_up():
        return redirect(settings.LOGIN_URL)
    return render(
        request, "accounts/sign_up/set_up.html", {"first": True, "command": settings.COMMAND}
    )


def _already_set_up(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/sign_up/set_up.html", {"over": True}, status=410)
