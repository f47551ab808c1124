"""Saved prompts: a name, and versions that never change."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.http import Http404
from django.utils.text import slugify
from django.utils.translation import gettext

from accounts.access.access import AccessDenied, require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.audit import audit
from lib.ids import new_id
from lib.refusal import Refused, check_text
from playground.models import Prompt, PromptVersion
from playground.models_offered.offered_models import capabilities_of_model
from playground.panel.settings import Settings
from playground.panel.variables import missing, names_in
from playground.turns.request import ChatMessage, build_request

NAME_MAX = 80
NOTE_MAX = 200
_FOUND_MAX = 50


class PromptRefused(ValueError):
    """The prompt cannot be saved. The text says why."""


def visible_prompts(actor: Actor) -> QuerySet[Prompt]:
    """Return the organisation's shared prompts and the actor's own, by name."""
    require(actor, "prompts.read")
    readable = Q(shared=True)
    if actor.user is not None and actor.model_key is None:
        readable |= Q(user=actor.user)
    return Prompt.objects.filter(readable, organisation=actor.organisation)


def search_prompts(actor: Actor, words: str) -> list[tuple[Prompt, int]]:
    """Filter the prompts by words in their name. Each comes with the number of its version in
    production, or else of its last one."""
    words = words.strip()
    prompts = visible_prompts(actor).annotate(last=Max("versions__number")).order_by("name", "id")
    if words:
        prompts = prompts.filter(Q(name__icontains=words) | Q(slug__icontains=words))
    return [(prompt, prompt.production or prompt.last) for prompt in prompts[:_FOUND_MAX]]


def access_prompt(actor: Actor, slug: str) -> Prompt:
    """Return a prompt that the actor sees. Raises Http404."""
    prompt = visible_prompts(actor).filter(slug=slug.replace("\x00", "")).first()
    if prompt is None:
        raise Http404
    return prompt


def find_version(actor: Actor, slug: str, number: str = "") -> PromptVersion:
    """Return a version of a prompt: by number, or else the one in production, or else the last.
    Raises Http404."""
    prompt = access_prompt(actor, slug)
    requested = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else None
    if requested is None and number not in ("", "production"):
        raise Http404
    versions = prompt.versions.select_related("prompt", "user")
    requested = requested or prompt.production
    version = (versions.filter(number=requested) if requested else versions).first()
    if version is None:
        raise Http404
    return version


def versions_of_prompt(prompt: Prompt) -> list[PromptVersion]:
    """Return all versions, the last first."""
    return list(prompt.versions.select_related("user"))


def annotate_last_version(prompts: QuerySet[Prompt]) -> QuerySet[Prompt]:
    """Annotate the prompts with the number of versions and the content of the last one."""
    last = PromptVersion.objects.filter(prompt=OuterRef("pk")).order_by("-number")
    return prompts.annotate(
        last_number=Subquery(last.values("number")[:1]),
        last_model=Subquery(last.values("model")[:1]),
        last_at=Subquery(last.values("created_at")[:1]),
        last_by=Subquery(last.values("user__email")[:1]),
    )


def save_prompt(
    actor: Actor, name: str, model: str, settings: Settings, *, note: str, shared: bool
) -> PromptVersion:
    """Save a new version of the prompt with that name, or create it. Raises PromptRefused, and
    Refused for an invalid name or note."""
    require(actor, "playground.use")
    name = check_text("prompt_name", name, NAME_MAX)
    note = check_text("prompt_note", note, NOTE_MAX)
    if not name:
        raise PromptRefused(gettext("Enter a name for the prompt."))
    slug = (slugify(name) or f"prompt-{new_id().hex[-8:]}")[:60]
    try:
        with transaction.atomic():
            prompt, created = Prompt.objects.select_for_update().get_or_create(
                organisation=organisation_of(actor),
                slug=slug,
                defaults={"name": name, "user": person_of(actor), "shared": shared},
            )
            if not created and not prompt.shared and prompt.user_id != person_of(actor).id:
                raise PromptRefused(gettext("Someone else already has a prompt with this name."))
            last = prompt.versions.aggregate(last=Max("number"))["last"] or 0
            version = PromptVersion.objects.create(
                prompt=prompt,
                number=last + 1,
                user=person_of(actor),
                model=model,
                settings=settings.stored(),
                note=note,
            )
            audit.record(
                actor, organisation_of(actor), "prompt.saved", prompt, slug=slug, version=last + 1
            )
    except IntegrityError as error:
        raise PromptRefused(gettext("Someone saved it at the same time. Save again.")) from error
    return version


def check_free(actor: Actor, name: str) -> None:
    """Raise Refused if a prompt with that name exists, even one that the actor cannot see."""
    require_person(actor)
    same = Prompt.objects.filter(organisation=organisation_of(actor), slug=slugify(name)[:60])
    if same.exists():
        text = gettext("There is already a prompt named %(name)s.")
        raise Refused("name", text % {"name": name}, already_exists=True)


def require_person(actor: Actor) -> None:
    """Raise AccessDenied for a key without a person, because each prompt belongs to a person."""
    require(actor, "playground.use")
    if actor.user is None:
        raise AccessDenied(gettext("Only people have prompts. Use a management key of yours."))


def owned_prompt(actor: Actor, slug: str) -> Prompt:
    """Return a prompt that the actor may share or delete: one of its own, or any visible one for a
    manager of the playground. Raises Http404, or AccessDenied if the actor may only see it."""
    require_person(actor)
    prompt = access_prompt(actor, slug)
    if prompt.user_id != person_of(actor).id:
        require(actor, "playground.write")
    return prompt


def share_prompt(actor: Actor, prompt: Prompt, *, shared: bool) -> Prompt:
    """Share a prompt with the whole organisation, or only with its owner."""
    with transaction.atomic():
        locked = Prompt.objects.select_for_update().get(id=prompt.id)
        if locked.shared != shared:
            locked.shared = shared
            locked.save(update_fields=["shared"])
            audit.record(
                actor, locked.organisation, "prompt.shared", locked, slug=locked.slug, shared=shared
            )
    return locked


def delete_prompt(actor: Actor, prompt: Prompt) -> None:
    """Remove a prompt with its versions. Callers who name it then get an error."""
    with transaction.atomic():
        locked = Prompt.objects.select_for_update().get(id=prompt.id)
        audit.record(actor, locked.organisation, "prompt.deleted", locked, slug=locked.slug)
        locked.delete()


def put_in_production(actor: Actor, version: PromptVersion) -> None:
    """Make this version the default for callers."""
    require(actor, "playground.use")
    with transaction.atomic():
        prompt = Prompt.objects.select_for_update().get(id=version.prompt_id)
        before, prompt.production = prompt.production, version.number
        prompt.save(update_fields=["production"])
        audit.record(actor, prompt.organisation, "prompt.put_in_production", prompt,
                     slug=prompt.slug, before=before, after=version.number)  # fmt: skip


def request_of_version(
    version: PromptVersion, variables: Mapping[str, str], text: str
) -> dict[str, Any]:
    """Build the chat request of a version, ready for /v1/chat/completions. Raises PromptRefused for
    missing or unknown variables."""
    settings = Settings.from_stored(version.settings)
    values = {**settings.variables, **variables}
    unknown = sorted(set(variables) - set(names_in(settings.system)))
    if unknown:
        raise PromptRefused(
            gettext("Unknown variables: %(names)s.") % {"names": ", ".join(unknown)}
        )
    if unfilled := missing(settings.system, values):
        message = gettext("Enter values for these variables: %(names)s.")
        raise PromptRefused(message % {"names": ", ".join(unfilled)})
    path = [ChatMessage("user", text)] if text else []
    body = build_request(
        version.model,
        path,
        replace(settings, variables=values),
        capabilities_of_model(version.model),
        {},
    )
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
