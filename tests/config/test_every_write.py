"""Whatever can be asked for that changes something reaches a write that is audited: every operation
of the management API that is no GET, every page that takes a POST, every command.

That each of these writes leaves its event is tried in `test_writes.py`.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, Final

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver
from ninja.operation import PathView

from accounts.audit import audit
from accounts.second_factor import views as second_factor_views
from accounts.sign_in import sign_in
from accounts.single_sign_on import single_sign_on
from playground.chats import preference_views
from tests.house.test_access import addresses, operations
from tests.house.test_style import ROOMS

UNSAFE: Final = {"POST", "PUT", "PATCH", "DELETE"}
# allauth's own pages, and what of ours they end in.
BEHIND: Final = {
    "account_login": sign_in.AccountAdapter.post_login,
    "account_signup": sign_in.AccountAdapter.save_user,
    "account_change_password": sign_in.AccountAdapter.set_password,
    "account_set_password": sign_in.AccountAdapter.set_password,
    "account_reset_password_from_key": sign_in.AccountAdapter.set_password,
    "mfa_authenticate": sign_in.AccountAdapter.post_login,
    "mfa_login_webauthn": sign_in.AccountAdapter.post_login,
    "mfa_deactivate_totp": second_factor_views._Recorded.record,
    "mfa_generate_recovery_codes": second_factor_views._Recorded.record,
    "mfa_add_webauthn": second_factor_views._Recorded.record,
    "mfa_remove_webauthn": second_factor_views._Recorded.record,
    "single_sign_on_connect": single_sign_on._connect,
    "playground_rules_save": preference_views._save_payer_rules,
}
# What needs no event, by the reason.
NOTHING_CHANGES: Final = {
    "POST /channels/{id}/preview",
    "POST /channels/{id}/provider-models",
    "POST /mail-server/test",
    "POST /policies/{id}/try",
    "POST /prompts/{slug}/render",
    "POST /provider-models",
    "POST /routes/preview",
    "POST /single-sign-on/test",
    "POST /subscription/preview",
    "account_inactive",
    "account_email_verification_sent",
    "account_reset_password_done",
    "account_reset_password_from_key_done",
    "bound",
    "channel_models_fetch",
    "channel_new_models",
    "channel_new_test",
    "check",
    "draft_code",
    "draft_debug",
    "embedding_bound",
    "history_export",
    "mail_server_test",
    "manage.py export",
    "manage.py messages",
    "manage.py verify",
    "media_bound",
    "media_fields",
    "message_show",
    "mfa_view_recovery_codes",
    "models_compare",
    "params",
    "policy_try",
    "realtime_bound",
    "realtime_charges",
    "realtime_code",
    "request_recompute",
    "route_preview",
    "schema_from_example",
    "title_cost",
    "tools_add",
    "tools_read",
    "variables",
}
ONES_OWN_CHAT: Final = {
    "batch_stop",
    "chat_change",
    "chat_delete",
    "chat_import",
    "chat_restore",
    "chat_summarise",
    "chat_visit",
    "column_add",
    "file_add",
    "file_fetch",
    "history_change",
    "history_undo",
    "keep",
    "media_delete",
    "media_file_add",
    "message_branch",
    "message_delete",
    "message_rate",
    "message_restore",
    "message_save",
    "preset_delete",
    "preset_save",
    "summary_drop",
    "vote",
}
ONES_OWN_CHOICE: Final = {
    "announcement_dismiss",
    "appearance",
    "model_default",
    "model_favourite",
    "payer_choose",
    "preferences_save",
    "set_up_skip",
    "start_skip",
    "table_preference",
}
A_CALL_OF_A_MODEL: Final = {
    "embedding_run",
    "media_create",
    "media_stop",
    "pg_chat",
    "realtime_ticket",
    "run_create",
    "run_stop",
}
ONES_OWN_SESSION_OR_ADDRESS: Final = {
    "account_confirm_email",
    "account_logout",
    "account_reauthenticate",
    "account_reset_password",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
}
# A provider rings: what it rings for is asked sooner, and nothing of what it says is believed.
ASKED_SOONER: Final = {"task_callback"}
# A device that nobody has allowed yet; what a person decides on it has an event.
ASKED_BY_A_DEVICE: Final = {"device_begin"}
COMPUTED_ANEW: Final = {
    "manage.py rebuild_clickhouse",
    "manage.py rebuild_rollups",
    "manage.py resend_records",
}
THE_SCHEMA: Final = {"manage.py migrate"}
QUIET: Final = (
    NOTHING_CHANGES
    | ONES_OWN_CHAT
    | ONES_OWN_CHOICE
    | A_CALL_OF_A_MODEL
    | ONES_OWN_SESSION_OR_ADDRESS
    | ASKED_SOONER
    | ASKED_BY_A_DEVICE
    | COMPUTED_ANEW
    | THE_SCHEMA
)


@cache
def reaches_audit(function: FunctionType, depth: int = 12) -> bool:
    """Whether a function, or what it names of ours, records an event."""
    if function is audit.record:
        return True
    return depth > 0 and any(reaches_audit(inner, depth - 1) for inner in named_by(function))


@cache
def named_by(function: FunctionType) -> frozenset[FunctionType]:
    """The functions of ours that a function names: calls, passes on, or makes an object of."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    values = (value_of(node, function.__globals__) for node in ast.walk(tree))
    return frozenset(one for value in values for one in functions_of(value) if is_ours(one))


def value_of(node: ast.AST, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = value_of(node.value, names)
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType | type) else None
    return None


def functions_of(value: Any) -> Iterator[FunctionType]:
    if isinstance(value, type):
        for name, inner in vars(value).items():
            if isinstance(inner, FunctionType) and not name.startswith("__"):
                yield inner
    elif callable(value):
        plain = inspect.unwrap(value)
        if isinstance(plain, FunctionType):
            yield plain


def is_ours(function: FunctionType) -> bool:
    return function.__module__.partition(".")[0] in ROOMS


def methods_of(view: Any) -> set[str]:
    """The methods that a page takes: those of its `require_…`, of a class its own."""
    named = named_methods(view)
    return UNSAFE if named is None else named


def named_methods(view: Any) -> set[str] | None:
    """The methods that a view says it takes, or None: then it takes all."""
    while view is not None:
        names = getattr(getattr(view, "__code__", None), "co_freevars", ())
        if "request_method_list" in names:
            return set(view.__closure__[names.index("request_method_list")].cell_contents)
        if hasattr(view, "view_class"):
            return {name.upper() for name in view.view_class.http_method_names}
        view = getattr(view, "__wrapped__", None)
    return None


def writers() -> Iterator[tuple[str, Any]]:
    for name, operation in operations():
        if set(operation.methods) & UNSAFE:
            yield name, operation.view_func
    for where, name, view in addresses(get_resolver()):
        of_api = getattr(view, "__qualname__", "").startswith("PathView.") or isinstance(
            getattr(view, "__self__", None), PathView
        )
        if not of_api and not where.startswith("api/") and methods_of(view) & UNSAFE:
            yield name or where, view
    for name, app in get_commands().items():
        if app in ROOMS or app.startswith("extensions."):
            yield f"manage.py {name}", type(load_command_class(app, name)).handle


WRITERS: Final = dict(writers())


def plain_functions(view: Any) -> list[FunctionType]:
    plain = inspect.unwrap(view)
    of_class = getattr(plain, "view_class", None) or getattr(view, "view_class", None)
    return list(functions_of(of_class or plain))


@pytest.mark.parametrize("name", WRITERS)
def test_every_change_is_audited(name: str) -> None:
    functions = [BEHIND[name]] if name in BEHIND else plain_functions(WRITERS[name])
    audited = any(reaches_audit(function) for function in functions)
    assert audited != (name in QUIET)


def test_every_way_to_change_something_is_found() -> None:
    assert {"key_revoke", "manage.py apply", "POST /keys"} <= WRITERS.keys()
    assert len(WRITERS) > 150
    assert WRITERS.keys() >= QUIET | BEHIND.keys()


def test_each_view_names_its_methods() -> None:
    """Else a link, a picture or a prefetch would do what only a form may (W32)."""
    views = [(name or where, view) for where, name, view in addresses(get_resolver())]
    ours = [(name, view) for name, view in views if is_ours(inspect.unwrap(view))]
    assert len(ours) > 300
    assert [name for name, view in ours if named_methods(view) is None] == []
