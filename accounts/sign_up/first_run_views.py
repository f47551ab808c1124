"""First run: the page that creates the first operator (W01)."""

from typing import cast

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.guards import public
from accounts.members.forms import NewPersonForm
from accounts.sign_in.views import throttle_view
from accounts.sign_up.first_run import SetUpDone, is_living, is_set_up, set_up


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
