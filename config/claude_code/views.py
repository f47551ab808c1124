"""What Claude Code asks of a hub that it has signed in to, beside the model API: the settings that
it shall have, and what its key has spent. Its gateway protocol describes both.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, key_actor, organisation_of
from accounts.guards.guards import public
from billing.limits.budgets import BudgetUsage, caps_of_key
from gateway.code_examples.example_models import MODEL
from gateway.code_examples.examples import example_models, is_text_model
from gateway.listed_models.shown_models import models_for, usable_models
from lib.database import tenancy
from usage.keys.spending import spending_of

_BEARER: Final = "Bearer "
_NANO_PER_CENT: Final = 10_000_000
_GROUPS: Final = {"day": "daily", "week": "weekly", "month": "monthly"}

_View = Callable[[HttpRequest, Actor], HttpResponse]


def _for_keys(view: _View) -> Callable[[HttpRequest], HttpResponse]:
    """Guard a view by the key in the Authorization header."""

    @public
    @require_safe
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        named = request.headers.get("authorization", "")
        actor = key_actor(named.removeprefix(_BEARER)) if named.startswith(_BEARER) else None
        if actor is None:
            return _error(401, "authentication_error", "API key is unknown or no longer works")
        tenancy.enter(organisation_of(actor).id)
        response = view(request, actor)
        response["Cache-Control"] = "no-store"
        return response

    return guarded


@_for_keys
def managed_settings(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return the models that the key may use, and which is the default. The protocol identifies a
    version of the settings by the digest of their canonical JSON."""
    listed = filter(is_text_model, models_for(actor))
    may_use = usable_models(actor)
    models = [model for model in listed if may_use(model.name)]
    if not models:
        return _error(404, "not_found_error", "the key may use no model")
    chosen = example_models([model for model in models if model.can.tools] or models)[MODEL]
    names = sorted(model.name for model in models)
    env = {"ANTHROPIC_DEFAULT_HAIKU_MODEL": chosen}
    if len(names) > 1:
        # The client asks its user to approve this, so that it is sent only where /model has a use
        # for the list.
        env["CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"] = "1"
    policy: dict[str, Any] = {"availableModels": names, "env": env, "model": chosen}
    text = json.dumps(policy, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    checksum = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    tag = f'"{checksum}"'
    if request.headers.get("if-none-match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    id = uuid5(NAMESPACE_URL, f"{settings.PUBLIC_URL}/managed/settings")
    body = {"uuid": str(id), "checksum": checksum, "settings": policy}
    return JsonResponse(body, headers={"ETag": tag})


@_for_keys
def spending(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return how full the budgets of the key and its person are; without any, what the key has
    spent in the present day, week and month (UTC). Amounts are in cents."""
    if scope_of(actor, "usage.read") is None:
        return _error(404, "not_found_error", "the key may not read its usage")
    caps = caps_of_key(actor.model_key) if actor.model_key is not None else []
    if caps:
        return JsonResponse(_by_cap(caps))
    spent = spending_of(actor)
    return JsonResponse(
        {
            "extra_usage": {
                "is_enabled": True,
                "currency": "USD",
                **_without_limit(spent.month_nano, "monthly_limit"),
                "daily": _without_limit(spent.day_nano, "limit"),
                "weekly": _without_limit(spent.week_nano, "limit"),
            },
            "limits": [],
        }
    )


def _by_cap(caps: Sequence[BudgetUsage]) -> dict[str, Any]:
    """Return the budgets, the fullest first. The headers of answers describe that one, if none by
    the hour, in total or of the session is fuller, for which this answer has no word."""
    fullest = caps[0]
    return {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": fullest.limit_nano // _NANO_PER_CENT,
            "used_credits": fullest.spent_nano // _NANO_PER_CENT,
            "utilization": _percent(fullest),
            "currency": "USD",
        },
        "limits": [
            {
                "kind": "spend",
                "group": _GROUPS[cap.budget.period],
                "percent": _percent(cap),
                "resets_at": f"{cap.span.end_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.000Z}",
                "severity": "normal",
                "is_active": cap is fullest,
            }
            for cap in caps
        ],
    }


def _percent(cap: BudgetUsage) -> int:
    return int(100 * cap.used_share)


def _without_limit(nano: int, limit: str) -> dict[str, int | None]:
    return {limit: None, "used_credits": nano // _NANO_PER_CENT, "utilization": None}


def _error(status: int, type: str, message: str) -> HttpResponse:
    body = {"type": "error", "error": {"type": type, "message": message}}
    headers = {"Cache-Control": "no-store", "x-should-retry": "false"}
    return JsonResponse(body, status=status, headers=headers)
