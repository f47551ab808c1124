"""The management API under /api/v1/: every room's router, one form of error.

The relay owns some paths below /api/v1/, so an operation at one of them could never be reached.
Importing this module raises PathTaken for it.

Errors have the shape of OpenAI's API, because clients of a hub already read it.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, Final, NamedTuple, cast

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.utils.translation import gettext
from ninja import NinjaAPI, Router
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser

from accounts.audit_log.api import router as audit_router
from accounts.custom_roles.api import router as role_router
from accounts.guards.api_auth import KeyConflict, api_auth
from accounts.keys.api import router as accounts_router
from accounts.mail_server.api import router as mail_server_router
from accounts.members.api import router as member_router
from accounts.organisations.api import router as organisation_router
from accounts.organisations.operator_api import router as people_router
from accounts.sign_up.api import router as sign_up_router
from accounts.single_sign_on.api import operator_router as organisation_sign_on_router
from accounts.single_sign_on.api import router as single_sign_on_router
from billing.approvals.api import router as approval_router
from billing.credits.api import router as operator_router
from billing.credits.codes import TooManyTries
from billing.currency.api import router as exchange_rate_router
from billing.idempotency import KeyInUse, KeyInvalid, KeyReused
from billing.invoices.api import operator_router as seller_router
from billing.invoices.api import router as invoice_router
from billing.prices.prices import PriceRefused, PriceStale
from billing.safeguards.api import router as safeguard_router
from billing.subscriptions.api import operator_router as subscription_plan_router
from billing.subscriptions.api import router as subscription_router
from billing.topups.processors.processor import ProcessorError
from billing.trials.api import router as trial_router
from billing.wallets.api import router as billing_router
from config.api.errors import error_response
from config.api.idempotent_creation import answer_once, describe_creation
from config.erasure.api import own_router as member_erasure_router
from config.erasure.api import router as erasure_router
from config.jobs.api import router as job_router
from config.previews.api import router as preview_router
from config.system.api import router as system_router
from content.log.sealed import TextsAway
from content.log.session_api import router as kept_session_router
from content.rules.api import router as log_rule_router
from gateway.catalogue.api import model_change_router
from gateway.catalogue.api import router as catalogue_router
from gateway.channel_setup.api import router as channel_router
from gateway.channels.refusals import ChannelStale
from gateway.health.api import router as health_router
from gateway.own_keys.api import operator_router as own_key_offer_router
from gateway.own_keys.api import router as own_key_router
from gateway.prices.own_price_api import router as gateway_router
from gateway.prices.previews import PreviewRefused
from gateway.prices.price_api import router as price_router
from gateway.prices.price_plan_api import router as price_plan_router
from gateway.prices.upstream_prices.api import router as upstream_price_router
from gateway.provider_accounts.reconciliation.bill_api import router as bill_router
from gateway.public_models.api import router as model_router
from gateway.routing.api import router as model_rule_router
from gateway.settings.api import router as setting_router
from gateway.status.api import router as announcement_router
from gateway.status.api import usage_mark_router
from lib.api.examples import example_of
from lib.api.openapi import (
    ERROR,
    ERROR_SCHEMA,
    add_additional_properties,
    declared_error,
    errors_of,
)
from lib.api.pagination import BadCursor
from lib.extensions.installed import contribute
from lib.numbers.strict_json import strict_json
from lib.refusal import Refused
from notify.webhooks.api import operator_router as operator_alert_router
from notify.webhooks.api import router as notify_router
from playground.erasure.departure_api import router as departure_router
from playground.prompts.api import router as playground_router
from relay.endpoints.table import is_claimed
from usage.books.finding_api import router as finding_router
from usage.contents.api import router as content_router
from usage.exports.api import router as export_router
from usage.feedback.api import router as feedback_router
from usage.filters.filters import RangeRefused
from usage.filters.groupings import UnknownGrouping
from usage.limits.api import effective_router
from usage.limits.api import router as budget_router
from usage.margin.api import router as margin_router
from usage.months.detached import RequestDetached
from usage.months.document_api import router as document_router
from usage.overview.api import router as usage_router
from usage.policies.api import router as policy_router
from usage.reports.too_many_records import RECORDS_MAX, TooManyRecords
from usage.reviews.api import router as review_router
from usage.saved_views.api import router as saved_view_router
from usage.sessions.api import router as session_router
from usage.statements.api import router as statement_router

_DEPTH_MAX = 64
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class TextUnstorable(ValueError):
    """A field of the query or the body contains what the database cannot store."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(field, what)
        self.field = field
        self.what = what


class BodyUnreadable(ValueError):
    """The body is not JSON, or is ambiguous JSON. The text says why."""


class StrictParser(Parser):
    """Parses only JSON with one reading: no duplicate key in an object, no NaN, no excessive
    nesting, and no text that the database cannot store."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        try:
            parsed = strict_json(request.body)
            _check(parsed, ())
        except TextUnstorable:
            raise
        except ValueError as error:
            raise BodyUnreadable(str(error)) from error
        return cast(dict[str, Any], parsed)


def _check(value: Any, path: tuple[str, ...]) -> None:
    if len(path) >= _DEPTH_MAX:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        _check_text(value, ".".join(path))
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(name, path)
            _check(inner, (*path, name))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            _check(inner, (*path, str(number)))


def _check_text(text: str, field: str) -> None:
    if "\x00" in text:
        raise TextUnstorable(field, "a zero byte")
    if not text.isascii() and _SURROGATE.search(text):
        # JSON may escape one half of a pair, such as a cut emoji.
        raise TextUnstorable(field, "half of a surrogate pair, such as a cut emoji")


class ManagementAPI(NinjaAPI):
    """An API whose responses no cache may store."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the function's name, which generated clients use as the operation's name."""
        return str(operation.view_func.__name__)

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH")
        if length in ("", "0") or (length is None and not request.body):
            # Members with defaults get them, and the error names a missing member.
            request._body = b"{}"
        response = super().create_temporal_response(request)
        response["Cache-Control"] = "private, no-store"
        return response

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the library's schema with the errors that all operations have in common. Do not
        change it."""
        if path_prefix is None:
            path_prefix = self.get_root_path(path_params or {})
        return self._schema_at(path_prefix)

    # Cached, because building the schema takes half a second and each page of the reference reads
    # it.
    @cache  # noqa: B019 - the API lives as long as its process
    def _schema_at(self, path_prefix: str) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix)
        schemas = schema["components"]["schemas"]
        add_additional_properties(schemas)
        schemas[ERROR] = ERROR_SCHEMA
        for methods in schema["paths"].values():
            for method, operation in methods.items():
                if "requestBody" in operation:
                    _describe_body(schemas, operation["requestBody"])
                if method == "post":
                    describe_creation(operation)
                for status in errors_of(operation):
                    operation["responses"].setdefault(status, declared_error(status))
        return schema

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        patterns, app, namespace = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback = _add_error_body(pattern.callback)
        return patterns, app, namespace


def _describe_body(schemas: dict[str, Any], body: dict[str, Any]) -> None:
    """Add an example, and whether the body is required."""
    for content in body["content"].values():
        content["example"] = example_of(schemas, content["schema"])
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        if name:
            body["required"] = bool(schemas[name].get("required"))


def _add_error_body(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Replace the library's plain 405 response with one that has the body of every other error."""

    @wraps(view)
    def respond(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if response.status_code != 405:
            return response
        answer = error_response(
            request, 405, f"{request.method} is not offered here.", code="method_not_allowed"
        )
        answer["Allow"] = response["Allow"]
        return answer

    return respond


api = ManagementAPI(
    title="Weir management API",
    version="1",
    description="Manage keys, limits, budgets, billing and prices. Amounts are decimal strings: an "
    "amount comes back with at least two decimal places, a rate in its shortest form. Times are "
    "RFC 3339 in UTC. Operators choose the organisation that they act in by its slug in the header "
    "`X-Weir-Organisation`; without it, it is that of the key. A POST that creates something takes "
    "an `Idempotency-Key`, and answers 409 with the code `already_exists` for what is there.",
    auth=api_auth,
    parser=StrictParser(),
    # Served from a file (config/api/description.py).
    openapi_url=None,
    docs_url=None,
    urls_namespace="api",
)


class UnknownQuery(ValueError):
    """The query has a parameter that the operation does not know, so that a filter would have no
    effect."""


def _refuse_unknown_query(view: Callable[..., Any]) -> Callable[..., Any]:
    known = {
        name
        for model in view._ninja_operation.models  # type: ignore[attr-defined]
        if model.__ninja_param_source__ == "query"
        for name in model.__ninja_flatten_map__
    }

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        unknown = sorted(request.GET.keys() - known)
        if unknown:
            raise UnknownQuery(unknown[0])
        for name, values in request.GET.lists():
            for value in values:
                _check_text(value, name)
        if any("\x00" in value for value in kwargs.values() if isinstance(value, str)):
            raise Http404  # none of our addresses has one
        return view(request, *args, **kwargs)

    return checked


api.add_decorator(answer_once, mode="operation")
api.add_decorator(_refuse_unknown_query, mode="operation")
api.add_router("", accounts_router)
api.add_router("", organisation_router)
api.add_router("", sign_up_router)
api.add_router("", people_router)
api.add_router("", single_sign_on_router)
api.add_router("", organisation_sign_on_router)
api.add_router("", effective_router)
api.add_router("", audit_router)
api.add_router("", member_router)
api.add_router("", role_router)
api.add_router("", departure_router)
api.add_router("", member_erasure_router)
api.add_router("", erasure_router)
api.add_router("", usage_router)
api.add_router("", session_router)
api.add_router("", feedback_router)
api.add_router("", export_router)
api.add_router("", billing_router)
api.add_router("", invoice_router)
api.add_router("", subscription_router)
api.add_router("", subscription_plan_router)
api.add_router("", statement_router)
api.add_router("", playground_router)
api.add_router("", operator_router)
api.add_router("", approval_router)
api.add_router("", exchange_rate_router)
api.add_router("", review_router)
api.add_router("", finding_router)
api.add_router("", margin_router)
api.add_router("", document_router)
api.add_router("", budget_router)
api.add_router("", log_rule_router)
api.add_router("", kept_session_router)
api.add_router("", content_router)
api.add_router("", policy_router)
api.add_router("", gateway_router)
api.add_router("", own_key_router)
api.add_router("", own_key_offer_router)
api.add_router("", usage_mark_router)
api.add_router("", price_router)
api.add_router("", price_plan_router)
api.add_router("", channel_router)
api.add_router("", model_change_router)
api.add_router("", upstream_price_router)
api.add_router("", model_router)
api.add_router("", catalogue_router)
api.add_router("", model_rule_router)
api.add_router("", health_router)
api.add_router("", setting_router)
api.add_router("", mail_server_router)
api.add_router("", safeguard_router)
api.add_router("", trial_router)
api.add_router("", notify_router)
api.add_router("", operator_alert_router)
api.add_router("", job_router)
api.add_router("", preview_router)
api.add_router("", system_router)
api.add_router("", announcement_router)
api.add_router("", bill_router)
api.add_router("", seller_router)
api.add_router("", saved_view_router)


class PathTaken(RuntimeError):
    """The relay owns the path of an operation."""


class OperationNameTaken(RuntimeError):
    """Two operations have functions of the same name, but the description names operations by
    function."""


_names: Final = set[str]()


def _check_operations(router: Router) -> None:
    for path, view in router.path_operations.items():
        for operation in view.operations:
            name = api.get_openapi_operation_id(operation)
            if name in _names:
                raise OperationNameTaken(f"Two operations are called {name}. Rename one.")
            _names.add(name)
        filled = "/api/v1/" + re.sub(r"\{[^}]*\}", "x", path).lstrip("/")
        if is_claimed(filled):
            raise PathTaken(f"{filled} belongs to the relay (relay/endpoints/table.py).")


def _add_operations(router: Router) -> None:
    _check_operations(router)
    api.add_router("", router)


for _prefix, _router in api._routers:
    _check_operations(_router)
contribute("operations", _add_operations)


# Errors -----------------------------------------------------------------------------------------


class _Answer(NamedTuple):
    """The answer to an error whose text is the message."""

    status: int
    code: str
    param: str | None = None
    kind: str = "invalid_request_error"

    def respond(self, request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        return error_response(
            request, self.status, str(error), type=self.kind, code=self.code, param=self.param
        )


_ANSWERS: Final[Mapping[type[Exception], _Answer]] = {
    KeyConflict: _Answer(401, "key_conflict", kind="authentication_error"),
    RequestDetached: _Answer(404, "month_detached"),
    BadCursor: _Answer(422, "invalid_value", "cursor"),
    PriceStale: _Answer(409, "conflict", "replaces"),
    PriceRefused: _Answer(422, "invalid_value"),
    PreviewRefused: _Answer(422, "invalid_value"),
    KeyInvalid: _Answer(400, "invalid_value", "Idempotency-Key"),
    KeyReused: _Answer(422, "idempotency_mismatch"),
}
for _raised, _answer in _ANSWERS.items():
    api.add_exception_handler(_raised, _answer.respond)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 401:
        response = error_response(
            request, 401, error.message, type="authentication_error", code="invalid_api_key"
        )
        response["WWW-Authenticate"] = "Bearer"
        return response
    if error.status_code == 403:
        return _answer_denied(request, error.message)
    if isinstance(error.__cause__, TextUnstorable):
        return _text_unstorable(request, error.__cause__)
    if isinstance(error.__cause__, BodyUnreadable):
        return error_response(request, error.status_code, f"{error.message}: {error.__cause__}.")
    if error.status_code == 409:
        response = error_response(request, 409, error.message, code="conflict")
        response["Retry-After"] = "1"
        return response
    return error_response(request, error.status_code, error.message)


@api.exception_handler(PermissionDenied)
def _permission_denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return _answer_denied(request, str(error))


def _answer_denied(request: HttpRequest, message: str) -> HttpResponse:
    return error_response(request, 403, message, type="permission_error", code="permission_denied")


@api.exception_handler(Http404)
def _answer_not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return error_response(
        request, 404, "It does not exist, or you do not have access to it.", code="not_found"
    )


@api.exception_handler(RequestDataTooBig)
def _answer_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return error_response(request, 413, "The body is too large.", code="request_too_large")


@api.exception_handler(UnknownQuery)
def _unknown_query(request: HttpRequest, error: UnknownQuery) -> HttpResponse:
    name = str(error)
    return error_response(
        request,
        400,
        f"Unknown query parameter: {name}.",
        code="unknown_parameter",
        param=name,
    )


@api.exception_handler(TextUnstorable)
def _text_unstorable(request: HttpRequest, error: TextUnstorable) -> HttpResponse:
    field = error.field or "the body"
    message = f"Invalid value for {field}: a string cannot contain {error.what}."
    return error_response(request, 422, message, code="invalid_value", param=error.field or None)


@api.exception_handler(RangeRefused)
def _range_refused(request: HttpRequest, error: RangeRefused) -> HttpResponse:
    message = f"Invalid value for {error.field}: {error}."
    return error_response(request, 422, message, code="invalid_value", param=error.field)


@api.exception_handler(UnknownGrouping)
def _unknown_grouping(request: HttpRequest, error: UnknownGrouping) -> HttpResponse:
    message = f"Invalid value for group_by: {error}."
    return error_response(request, 400, message, code="invalid_value", param="group_by")


@api.exception_handler(TooManyRecords)
def _answer_too_many_records(request: HttpRequest, error: TooManyRecords) -> HttpResponse:
    message = (
        f"The period has {error.requests} requests. Labels, applications and statuses are counted"
        f" for up to {RECORDS_MAX}: choose a shorter period."
    )
    return error_response(request, 400, message, code="invalid_value", param="from")


@api.exception_handler(Refused)
def _answer_refused(request: HttpRequest, error: Refused) -> HttpResponse:
    status, code = (409, "already_exists") if error.already_exists else (422, "invalid_value")
    return error_response(request, status, error.message, code=code, param=error.field)


@api.exception_handler(ChannelStale)
def _channel_stale(request: HttpRequest, error: ChannelStale) -> HttpResponse:
    return error_response(request, 409, error.message, code="conflict", param=error.field)


@api.exception_handler(TooManyTries)
def _answer_too_many_tries(request: HttpRequest, error: TooManyTries) -> HttpResponse:
    response = error_response(
        request, 429, str(error), type="rate_limit_error", code="rate_limit_exceeded"
    )
    response["Retry-After"] = str(error.wait_s)
    return response


@api.exception_handler(ProcessorError)
def _processor_failed(request: HttpRequest, error: ProcessorError) -> HttpResponse:
    message = gettext(
        "The payment provider did not respond. Nothing was charged. Submit the form again."
    )
    return error_response(request, 503, message, type="server_error", code="processor_unavailable")


@api.exception_handler(TextsAway)
def _texts_away(request: HttpRequest, error: TextsAway) -> HttpResponse:
    return error_response(
        request, 503, error.message, type="server_error", code="content_store_unavailable"
    )


@api.exception_handler(KeyInUse)
def _key_in_use(request: HttpRequest, error: KeyInUse) -> HttpResponse:
    response = error_response(request, 409, str(error), code="idempotency_in_flight")
    response["Retry-After"] = "1"
    return response


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Report the first error: 400 for a wrong form, 422 for a wrong value."""
    first = error.errors[0]
    kind = str(first["type"])
    # The location is (source, name of the argument, field, …); callers know only the field.
    where = [str(part) for part in first["loc"][1:]]
    param = ".".join(where[1:] if len(where) > 1 else where) or None
    if kind == "extra_forbidden":
        return error_response(
            request, 400, f"Unknown parameter: {param}.", code="unknown_parameter", param=param
        )
    if kind == "missing":
        return error_response(
            request,
            400,
            f"Missing required parameter: {param}.",
            code="missing_required_parameter",
            param=param,
        )
    reason = str(first["msg"]).removeprefix("Value error, ")
    if kind == "string_type":
        reason = "it must be a string in quotes"
    message = f"Invalid value for {param}: {reason}."
    if kind.endswith(("_type", "_parsing")):
        return error_response(request, 400, message, code="invalid_type", param=param)
    return error_response(request, 422, message, code="invalid_value", param=param)
