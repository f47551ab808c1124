"""The management API of saved prompts: by name and version, ready to be sent to a model."""

import datetime as dt
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError
from pydantic import ConfigDict, Field

from accounts import actors
from accounts.access import require
from lib.openapi import Schema
from lib.whole_numbers import TypedWhole, Whole
from playground import payer_rules, prompts
from playground.models import PromptVersion

router = Router(tags=["Prompts"])


class PromptOut(Schema):
    """A version of a saved prompt; it never changes."""

    name: str
    slug: str
    version: int
    production: int | None = Field(description="The version used by callers who do not name one.")
    model: str
    settings: dict[str, Any]
    note: str
    created_at: dt.datetime


class PromptsOut(Schema):
    """The saved prompts that you see, each at the version in production, else its last."""

    items: list[PromptOut]
    next: None = None


class RenderIn(Schema):
    """Which version, and what its variables are."""

    model_config = ConfigDict(extra="forbid")

    version: Whole | None = Field(
        None, ge=1, description=("Default: the production version, else the latest.")
    )
    variables: dict[str, str] = Field(default_factory=dict, max_length=100)
    input: str = Field("", max_length=1_000_000, description="The user's message, if any.")


class PayerRules(Schema):
    """Which keys may pay in the playground, by role: a built-in role by its name, a custom one by
    its ID. A role that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    rules: dict[str, Literal["any", "people", "own_or_playground", "own", "playground"]] = Field(
        max_length=200,
        description="`any`: every key they can see. `people`: no key of a service account. "
        "`own_or_playground`: their own keys and the playground's. `own`: only their own keys. "
        "`playground`: only the playground's key.",
    )


@router.get(
    "/playground/payer-rules",
    response=PayerRules,
    summary="Show who may pay",
    tags=["Organisation"],
)
def show_payer_rules(request: HttpRequest) -> dict[str, Any]:
    """Which keys people of each role may pay with in the playground."""
    actor = actors.actor_of(request)
    require(actor, "playground.write")
    return {"rules": payer_rules.rules_of(actors.organisation_of(actor))}


@router.put(
    "/playground/payer-rules",
    response=PayerRules,
    summary="Change who may pay",
    tags=["Organisation"],
)
def change_payer_rules(request: HttpRequest, body: PayerRules) -> dict[str, Any]:
    """Applies to the next message."""
    return {"rules": payer_rules.change_rules(actors.actor_of(request), body.rules)}


@router.get("/prompts", response=PromptsOut, summary="List saved prompts")
def list_prompts(request: HttpRequest) -> dict[str, Any]:
    """Prompts shared in your organisation, and your own."""
    actor = actors.actor_of(request)
    visible = prompts.visible_prompts(actor)
    return {"items": [_out(prompts.find_version(actor, prompt.slug)) for prompt in visible]}


@router.get("/prompts/{slug}", response=PromptOut, summary="Show a version of a prompt")
def show_prompt(
    request: HttpRequest, slug: str, version: TypedWhole | None = None
) -> dict[str, Any]:
    """The named version, else the one in production, else the latest."""
    return _out(prompts.find_version(actors.actor_of(request), slug, str(version or "")))


@router.post("/prompts/{slug}/render", response=dict[str, Any], summary="Render a prompt")
def render_prompt(request: HttpRequest, slug: str, rendered: RenderIn) -> dict[str, Any]:
    """The chat request for this version. Send it to `/v1/chat/completions` unchanged."""
    version = prompts.find_version(actors.actor_of(request), slug, str(rendered.version or ""))
    try:
        return prompts.request_of_version(version, rendered.variables, rendered.input)
    except prompts.PromptRefused as refused:
        raise HttpError(400, str(refused)) from refused


def _out(version: PromptVersion) -> dict[str, Any]:
    return {
        "name": version.prompt.name,
        "slug": version.prompt.slug,
        "version": version.number,
        "production": version.prompt.production,
        "model": version.model,
        "settings": version.settings,
        "note": version.note,
        "created_at": version.created_at,
    }
