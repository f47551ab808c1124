"""Every address and every operation says who may come in; a new public one is named here."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from ninja.operation import Operation, PathView
from pydantic import BaseModel

from accounts.guards.api_auth import api_auth, installation_auth
from accounts.roles import rules as roles
from config.api.api import api

# Adding a line here is a decision: say in the review why nobody needs to be signed in.
PUBLIC = {
    "root",
    "appearance",
    "account_login",
    "mfa_authenticate",
    "single_sign_on_find",
    "openid_connect_login",
    "openid_connect_callback",
    "mfa_login_webauthn",
    "account_logout",
    "account_signup",
    "account_erased",
    "account_inactive",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "account_email_verification_sent",
    "account_confirm_email",
    "sign_in_link",
    # Its text stands for who runs the installation; without one it says how to get it.
    "set_up",
    "set_up_first",
    # Its text stands for who was invited; it shows whom and what it was made for.
    "invitation",
    # A device has no rights until a person allows it; its code and its key stand for it.
    "device_metadata",
    "device_begin",
    "device_token",
    "device_revoke",
    # The key in its header stands for who calls.
    "claude_code_settings",
    "claude_code_spending",
    # Its signature stands for who it is from.
    "processor_event",
    # The token in its address stands for who calls.
    "task_callback",
    # Whoever has the secret of a share link may read its picture; it needs no account.
    "shared",
    # A letter's link: its signature stands for whom the letter is to, and it only ends that.
    "report_leave",
    # What the API takes is no secret; whether models and prices are is the operator's setting.
    "docs",
    "docs_page",
    "docs_errors",
    "docs_headers",
    "docs_faq",
    "manual",
    "manual_page",
    "manual_search",
    "llms_txt",
    "models",
    "model",
    "pricing",
    "api_reference",
    "api_section",
    # Who may see it is the operator's setting.
    "status",
    # A token stands for who reads it, else a network of the operator's.
    "metrics",
    "api_description",
    "api:api-root",
}


def addresses(
    resolver: URLResolver, prefix: str = "", namespace: str = ""
) -> Iterator[tuple[str, str, Any]]:
    for pattern in resolver.url_patterns:
        where = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = ":".join(filter(None, (namespace, pattern.namespace)))
            yield from addresses(pattern, where, inner)
        elif isinstance(pattern, URLPattern):
            name = ":".join(filter(None, (namespace, pattern.name)))
            yield where, name, pattern.callback


def operations() -> Iterator[tuple[str, Operation]]:
    for _, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                # As the schema has it: what kind of text a parameter is, is no part of its name.
                named = re.sub(r"\{\w+:", "{", path)
                yield f"{'/'.join(operation.methods)} {named}", operation


PAGES = [
    pytest.param(name, view, id=where or "/")
    for where, name, view in addresses(get_resolver())
    if not isinstance(getattr(view, "__self__", None), PathView)
    and not getattr(view, "__qualname__", "").startswith("PathView.")
]
OPERATIONS = [pytest.param(operation, id=name) for name, operation in operations()]


@pytest.mark.parametrize(("name", "view"), PAGES)
def test_every_page_has_an_access_class(name: str, view: Any) -> None:
    access_class = getattr(view, "access_class", None)
    if name in PUBLIC:
        assert access_class in ("public", None)
        return
    assert access_class is not None, f"{name} has no access class"
    kind, _, action = access_class.partition(":")
    assert kind in ("organisation", "operator", "signed-in"), f"{name} is {access_class}"
    if action:
        assert action in roles.TABLE


def test_no_public_name_is_stale() -> None:
    names = {name for _, name, _ in addresses(get_resolver())}
    assert names >= PUBLIC


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_needs_a_key_or_a_session(operation: Operation) -> None:
    # What the operation says itself, else what the whole API says.
    own = operation.auth_param
    callbacks = operation.auth_callbacks or api.auth
    assert own is not None
    assert callbacks in ([api_auth], [installation_auth])


def test_only_operators_operations_read_all_organisations() -> None:
    """Adding one is a decision: row-level security hides nothing from it (docs/adr/0013)."""
    routers = {
        tuple(router.tags or ()) for _, router in api._routers if router.auth == installation_auth
    }
    assert routers == {
        ("Channels",),
        ("Margin",),
        ("Operator billing",),
        ("Operators",),
        ("Organisations",),
        ("Price book",),
        ("Reconciliation",),
        ("Reviews",),
        ("Subscription plans",),
    }
    alone = {name for name, one in operations() if list(one.auth_callbacks) == [installation_auth]}
    assert alone == {"POST /top-ups/{id}/confirm"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_input_refuses_unknown_fields(operation: Operation) -> None:
    for model in operation.models:
        if model.__ninja_param_source__ not in ("body", "form"):
            continue
        for field in model.model_fields.values():
            for schema in schemas_of(field.annotation):
                assert schema.model_config.get("extra") == "forbid", schema.__name__


def schemas_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every schema inside an annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from schemas_of(field.annotation)
        return
    for inner in getattr(annotation, "__args__", ()):
        yield from schemas_of(inner)
