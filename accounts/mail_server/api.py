"""The management API of the mail server; for operators. Pages call the same functions."""

from typing import Any, Literal

from django.http import Http404, HttpRequest
from django.utils.translation import gettext
from ninja import Status
from pydantic import Field

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from accounts.mail_server import current_server, mail_server
from accounts.mail_server.trial_letter import send_trial_letter
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Operators"], auth=api_auth.installation_auth)


class MailServerIn(RequestBody):
    """The server that sends emails."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(587, ge=1, le=mail_server.PORT_MAX, strict=True)
    encryption: Literal["tls", "starttls", "none"] = "starttls"
    username: str = Field("", max_length=mail_server.USERNAME_MAX)
    password: str | None = Field(
        None,
        max_length=mail_server.PASSWORD_MAX,
        description="Omit to keep the stored password. Required for another host, port or user.",
    )
    sender: str = Field("", max_length=254, description="Empty: `weir@` and the host of the hub.")


class MailServerOut(Schema):
    """The server in force, without its password."""

    host: str
    port: int
    encryption: str
    username: str
    has_password: bool
    sender: str
    set_by_environment: bool = Field(description="Whether `EMAIL_HOST` sets it.")


class TestLetterOut(Schema):
    accepted: bool
    answer: str = Field(description="The server's answer, or why it could not be asked.")


@router.get("/mail-server", response=MailServerOut, summary="Show the mail server")
@requires("channels.write")
def read_mail_server(actor: Actor) -> dict[str, Any]:
    """The mail server of the installation."""
    return _describe()


@router.put("/mail-server", response=MailServerOut, summary="Set the mail server")
@requires("channels.write")
def save_mail_server(request: HttpRequest, actor: Actor, body: MailServerIn) -> dict[str, Any]:
    """Replaces the mail server. The next email is sent by it. Keys cannot change it."""
    _check_person(request)
    fields = body.dict()
    mail_server.save_mail_server(actor, **{**fields, "password": fields["password"] or ""})
    return _describe()


@router.delete("/mail-server", response={204: None}, summary="Remove the mail server")
@requires("channels.write")
def remove_mail_server(request: HttpRequest, actor: Actor) -> Status[None]:
    """Removes the mail server. No emails are sent until another one is set. Keys cannot remove
    it."""
    _check_person(request)
    mail_server.remove_mail_server(actor)
    return Status(204, None)


@router.post("/mail-server/test", response=TestLetterOut, summary="Send a test email")
@requires("channels.write")
def send_test(request: HttpRequest, actor: Actor) -> TestLetterOut:
    """Sends an email to your own address, and returns the server's answer. Keys cannot send it."""
    _check_person(request)
    outcome = send_trial_letter(actor.user.email if actor.user else "")
    return TestLetterOut(accepted=outcome.accepted, answer=outcome.text)


def _check_person(request: HttpRequest) -> None:
    """Raise AccessDenied for a key. The person who reads the installation's emails can reset
    anybody's password."""
    if getattr(getattr(request, "auth", None), "key", None) is not None:
        text = gettext("An API key cannot change the mail server. Change it in the browser.")
        raise AccessDenied(text)
    check_signed_in_recently(request)


def _describe() -> dict[str, Any]:
    described = current_server.describe_mail_server()
    if described is None:
        raise Http404
    return {**described, "set_by_environment": "host" in current_server.set_by_environment()}
