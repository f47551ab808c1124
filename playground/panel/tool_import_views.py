"""Import of tools from an OpenAPI description: read it, choose operations, add them to the
definitions."""

import asyncio
import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from gateway.settings.installation import egress_policy_users
from lib.database.async_database import run_in_database
from lib.network import egress
from lib.network.fetching import fetch_url
from playground.attachments.attachments import FETCH_S
from playground.panel.openapi_tools import BYTES_MAX, Operation, Unusable, read_openapi
from playground.panel.parameters import InvalidSetting
from playground.panel.settings import TOOLS_MAX, read_tools, write_json
from playground.panel.words import invalid_text, unfetched_text, unusable_text


@organisation_page("playground.use")
@require_safe
def tools_import(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the dialog that asks for a description."""
    return _dialog(request, actor, {})


@organisation_page("playground.use")
@require_POST
async def tools_read(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the operations of an uploaded description, or of one at a URL."""
    context: dict[str, Any] = {"url": request.POST.get("url", "").strip()}
    try:
        data = await _description(request, context["url"])
        # Parse in a thread, because a large description takes long and would delay other requests.
        operations = await asyncio.to_thread(read_openapi, data)
        context["operations"] = [_operation_row(operation) for operation in operations]
        context["number"] = sum(not operation.fault for operation in operations)
    except Unusable as unusable:
        context["error"] = unusable_text(unusable)
    except egress.EgressError as error:
        context["error"] = unfetched_text(error)
    except TimeoutError:
        context["error"] = gettext("The URL did not respond in time.")
    return await run_in_database(_dialog, request, actor, context)


async def _description(request: HttpRequest, url: str) -> bytes:
    upload = request.FILES.get("file")
    if upload is not None:
        if (upload.size or 0) > BYTES_MAX:
            raise Unusable("too_big")
        return bytes(upload.read())
    if not url:
        raise Unusable("nothing")
    policy = await run_in_database(egress_policy_users)
    try:
        async with asyncio.timeout(FETCH_S):
            return (await fetch_url(policy, url, bytes_max=BYTES_MAX)).body
    except egress.TooLarge as error:
        raise Unusable("too_big") from error


def _operation_row(operation: Operation) -> dict[str, Any]:
    return {
        "operation": operation,
        "definition": json.dumps(operation.tool, ensure_ascii=False),
        "inputs": list(operation.tool["parameters"]["properties"]),
    }


@organisation_page("playground.use")
@require_POST
def tools_add(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Append the chosen definitions. One with the same name is replaced."""
    chosen = request.POST.getlist("tool")
    slug = slug_of(actor)
    try:
        before = read_tools(request.POST.get("tools", ""))
        more = read_tools(f"[{','.join(chosen)}]")
        names = {tool["name"] for tool in more}
        remaining = [tool for tool in before if tool["name"] not in names]
        if len(remaining) + len(more) > TOOLS_MAX:
            raise InvalidSetting("tools", "too_many", high=TOOLS_MAX)
    except InvalidSetting as invalid:
        context = {"error": invalid_text(invalid), "slug": slug}
        return render(request, "playground/panel/_tools_refused.html", context, status=422)
    context = {"tools_text": write_json([*remaining, *more]), "slug": slug}
    return render(request, "playground/panel/_tools_added.html", context)


def _dialog(request: HttpRequest, actor: Actor, context: dict[str, Any]) -> HttpResponse:
    context["slug"] = slug_of(actor)
    status = 422 if "error" in context else 200
    return render(request, "playground/panel/_tools_import.html", context, status=status)
