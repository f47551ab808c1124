"""The management API of saved prompts: read them by name and version, ready to send to a model."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from django.db import transaction
from django.utils.translation import gettext
from ninja import Query, Status
from ninja.errors import HttpError
from pydantic import Field

from accounts.access import actors
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from content.models import PromptVersion
from content.prompts import prompts
from content.prompts.label_rules import PRODUCTION, current_versions
from content.prompts.rules import NAME_MAX, NOTE_MAX, values_of
from content.prompts.settings import Settings
from content.prompts.variables import FILLED_MAX
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.numbers.whole_numbers import Whole
from lib.refusal import Refused
from playground.models_offered.offered_models import capabilities_of_model
from playground.payers import payer_rules
from playground.turns.form import checked_settings
from playground.turns.request import ChatMessage, build_request

router = Router(tags=["Prompts"])


class PromptOut(Schema):
    """A version of a saved prompt; it never changes."""

    name: str
    slug: str
    version: int
    production: int | None = Field(description="The version used by callers who do not name one.")
    labels: dict[str, int] = Field(description="The version that each label is on.")
    model: str
    settings: dict[str, Any]
    note: str
    shared: bool
    created_at: dt.datetime


class PromptPage(Schema):
    """Saved prompts, or the versions of one."""

    items: list[PromptOut]
    next: str | None


class PromptSettings(RequestBody):
    """How the model is called. Omitted settings use the default."""

    params: dict[str, Any] = Field(default_factory=dict, description="Such as `temperature`.")
    system: str = Field("", description="The instructions. `{{name}}` is a variable.")
    variables: dict[str, str] = Field(default_factory=dict, description="Their default values.")
    tools: list[dict[str, Any]] = Field(default_factory=list)
    tool_choice: str = ""
    serial: bool = Field(False, description="One call of a tool at a time.")
    output_schema: dict[str, Any] | None = Field(
        None, alias="schema", description="JSON schema of the answer."
    )
    strict: bool = Field(False, description="Follow the schema strictly.")
    raw: dict[str, Any] | None = Field(None, description="Further members of the request.")
    max_cost: str = Field("", max_length=40, description="In USD, for each request.")
    trim: bool = Field(False, description="Leave out the oldest messages that do not fit.")

    def read(self, model: str) -> Settings:
        fields = self.model_dump(by_alias=True)
        return checked_settings(model, Settings.from_stored(fields))


class VersionIn(RequestBody):
    """The content of a prompt's version."""

    model: str = Field(min_length=1, max_length=200)
    settings: PromptSettings = Field(default_factory=lambda: PromptSettings.model_validate({}))
    note: str = Field("", max_length=NOTE_MAX)


class PromptIn(VersionIn):
    """A new prompt with its first version. It belongs to the person of the key."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    shared: bool = Field(True, description="Whether the whole organisation sees it.")


class PromptChange(RequestBody):
    """Changes to a prompt. Omitted fields stay as they are. A version never changes."""

    production: Whole | None = Field(
        None, ge=1, description="The version used by callers who do not name one."
    )
    shared: bool | None = None


class RenderIn(RequestBody):
    """A version, and the values of its variables."""

    version: Whole | str | None = Field(
        None,
        description="Its number, or a label. Default: the production version, else the latest.",
    )
    variables: dict[str, str] = Field(default_factory=dict, max_length=100)
    input: str = Field("", max_length=1_000_000, description="The user's message, if any.")


class LabelIn(RequestBody):
    """The version of a label."""

    version: Whole = Field(ge=1, description="The number of the version.")


class PayerRules(RequestBody):
    """Which keys may pay in the playground, by role: a built-in role by its name, a custom one by
    its ID. Omitted roles stay as they are."""

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
@requires("playground.write")
def show_payer_rules(actor: Actor) -> dict[str, Any]:
    """Which keys people of each role may pay with in the playground."""
    return {"rules": payer_rules.rules_of(actors.organisation_of(actor))}


@router.put(
    "/playground/payer-rules",
    response=PayerRules,
    summary="Change who may pay",
    tags=["Organisation"],
)
def change_payer_rules(actor: Actor, body: PayerRules) -> dict[str, Any]:
    """Applies to the next message."""
    return {"rules": payer_rules.change_rules(actor, body.rules)}


@router.get("/prompts", response=PromptPage, summary="List saved prompts")
def list_prompts(actor: Actor, query: Query[pagination.NamedPageQuery]) -> dict[str, Any]:
    """Prompts shared in your organisation, and your own. Each has the content of its version in
    production, or else of its last one."""
    visible = list(query.filter_by_name(prompts.visible_prompts(actor)))
    page = pagination.page_by_key(visible, query.limit, query.cursor, lambda prompt: prompt.slug)
    items = [_out(prompts.find_version(actor, prompt.slug)) for prompt in page.items]
    return {"items": items, "next": page.next}


@router.get("/prompts/{slug}", response=PromptOut, summary="Show a version of a prompt")
def show_prompt(actor: Actor, slug: str, version: str = "") -> dict[str, Any]:
    """The version with that number or label, else the one in production, else the latest."""
    return _out(prompts.find_version(actor, slug, version))


@router.get(
    "/prompts/{slug}/versions", response=PromptPage, summary="List the versions of a prompt"
)
def list_prompt_versions(
    actor: Actor, slug: str, query: Query[pagination.PageQuery]
) -> dict[str, Any]:
    """Every version, the first one first."""
    versions = prompts.versions_of_prompt(prompts.access_prompt(actor, slug))[::-1]
    page = pagination.page_by_position(versions, query.limit, query.cursor)
    return {"items": [_out(version) for version in page.items], "next": page.next}


@router.post("/prompts", response={201: PromptOut}, summary="Save a prompt")
def create_prompt(actor: Actor, body: PromptIn) -> Status[PromptOut]:
    """Saves a prompt with its first version."""
    prompts.check_free(actor, body.name)
    settings = body.settings.read(body.model)
    try:
        version = prompts.save_prompt(
            actor, body.name, body.model, settings, note=body.note, shared=body.shared
        )
    except prompts.PromptRefused as refused:
        raise Refused("name", str(refused)) from refused
    return Status(201, PromptOut(**_out(version)))


@router.post(
    "/prompts/{slug}/versions", response={201: PromptOut}, summary="Save a version of a prompt"
)
def create_version(actor: Actor, slug: str, body: VersionIn) -> Status[PromptOut]:
    """Adds a version. Callers get it once it is in production, or if none is."""
    prompts.require_person(actor)
    prompt = prompts.access_prompt(actor, slug)
    settings = body.settings.read(body.model)
    try:
        version = prompts.save_version(actor, prompt, body.model, settings, note=body.note)
    except prompts.PromptRefused as refused:
        raise Refused("name", str(refused)) from refused
    return Status(201, PromptOut(**_out(version)))


@router.patch("/prompts/{slug}", response=PromptOut, summary="Change a prompt")
def change_prompt(actor: Actor, slug: str, body: PromptChange) -> dict[str, Any]:
    """Puts a version in production, or shares the prompt."""
    prompts.require_person(actor)
    prompt = prompts.access_prompt(actor, slug)
    with transaction.atomic():
        if body.shared is not None and body.shared != prompt.shared:
            prompts.share_prompt(actor, prompts.owned_prompt(actor, slug), shared=body.shared)
        if body.production is not None:
            version = prompts.find_version(actor, slug, str(body.production))
            prompts.move_label(actor, version, PRODUCTION)
    return _out(prompts.find_version(actor, slug))


@router.put(
    "/prompts/{slug}/labels/{label}", response=PromptOut, summary="Put a label on a version"
)
def move_prompt_label(actor: Actor, slug: str, label: str, body: LabelIn) -> dict[str, Any]:
    """Requests that name the label use this version from then on. A new label is added."""
    prompts.require_person(actor)
    prompts.move_label(actor, prompts.find_version(actor, slug, str(body.version)), label)
    return _out(prompts.find_version(actor, slug, label))


@router.post(
    "/prompts/{slug}/labels/{label}/roll-back", response=PromptOut, summary="Roll a label back"
)
def roll_back_prompt_label(actor: Actor, slug: str, label: str, body: LabelIn) -> dict[str, Any]:
    """Puts the label back on the version that it was on before. `version` is the one that it is on
    now: a call that is repeated does not go back twice."""
    prompts.require_person(actor)
    prompts.roll_back_label(actor, prompts.access_prompt(actor, slug), label, body.version)
    return _out(prompts.find_version(actor, slug, label))


@router.delete(
    "/prompts/{slug}/labels/{label}", response={204: None}, summary="Remove a label of a prompt"
)
def remove_prompt_label(actor: Actor, slug: str, label: str) -> Status[None]:
    """Requests that name the label get an error from then on."""
    prompts.require_person(actor)
    prompts.remove_label(actor, prompts.access_prompt(actor, slug), label)
    return Status(204, None)


@router.delete("/prompts/{slug}", response={204: None}, summary="Delete a prompt")
def delete_prompt(actor: Actor, slug: str) -> Status[None]:
    """Deletes a prompt with its versions: your own, or a shared one if you manage the
    playground."""
    prompts.delete_prompt(actor, prompts.owned_prompt(actor, slug))
    return Status(204, None)


@router.post("/prompts/{slug}/render", response=dict[str, Any], summary="Render a prompt")
def render_prompt(actor: Actor, slug: str, rendered: RenderIn) -> dict[str, Any]:
    """The chat request for this version. Send it to `/v1/chat/completions` unchanged."""
    version = prompts.find_version(actor, slug, str(rendered.version or ""))
    try:
        return _chat_request(version, rendered.variables, rendered.input)
    except prompts.PromptRefused as refused:
        raise HttpError(400, str(refused)) from refused


def _chat_request(
    version: PromptVersion, variables: Mapping[str, str], text: str
) -> dict[str, Any]:
    """Build the chat request of a version. Raises PromptRefused for missing or unknown
    variables."""
    settings = Settings.from_stored(version.settings)
    values, unknown, unfilled, too_long = values_of(settings, variables)
    if unknown:
        message = gettext("Unknown variables: %(names)s.")
        raise prompts.PromptRefused(message % {"names": ", ".join(sorted(unknown))})
    if unfilled:
        message = gettext("Enter values for these variables: %(names)s.")
        raise prompts.PromptRefused(message % {"names": ", ".join(unfilled)})
    if too_long:
        message = gettext("The filled prompt has more than %(most)s characters.")
        raise prompts.PromptRefused(message % {"most": FILLED_MAX})
    path = [ChatMessage("user", text)] if text else []
    settings = replace(settings, variables=values)
    capabilities = capabilities_of_model(version.model)
    body = build_request(version.model, path, settings, capabilities, {})
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def _out(version: PromptVersion) -> dict[str, Any]:
    return {
        "name": version.prompt.name,
        "slug": version.prompt.slug,
        "version": version.number,
        "production": version.prompt.production,
        "labels": current_versions(version.prompt.labels),
        "model": version.model,
        "settings": version.settings,
        "note": version.note,
        "shared": version.prompt.shared,
        "created_at": version.created_at,
    }
