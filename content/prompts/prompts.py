"""Saved prompts: a name, and versions that never change."""

from hashlib import sha256

from django.db import IntegrityError, transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.text import slugify
from django.utils.translation import gettext

from accounts.access.access import AccessDenied, require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.audit import audit
from accounts.models import Organisation
from content.models import Prompt, PromptVersion
from content.prompts.label_rules import (
    LABELS_MAX,
    PRODUCTION,
    current_versions,
    is_label,
    moved,
    rolled_back,
)
from content.prompts.rules import NAME_MAX, NOTE_MAX, OPENAI_ID, SLUG_MAX
from content.prompts.settings import Settings
from lib.refusal import Refused, check_text

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
    """Return a version of a prompt: by number or label, or else the one in production, or else the
    last. Raises Http404."""
    prompt = access_prompt(actor, slug)
    if number.isascii() and number.isdecimal() and len(number) < 9:
        requested: int | None = int(number)
    else:
        requested = current_versions(prompt.labels).get(number or PRODUCTION)
        if number and requested is None:
            raise Http404
    versions = prompt.versions.select_related("prompt", "user")
    version = (versions if requested is None else versions.filter(number=requested)).first()
    if version is None:
        raise Http404
    return version


def versions_of_prompt(prompt: Prompt) -> list[PromptVersion]:
    """Return all versions, the last first."""
    return list(prompt.versions.select_related("prompt", "user"))


def annotate_last_version(prompts: QuerySet[Prompt]) -> QuerySet[Prompt]:
    """Annotate the prompts with the number of versions and the content of the last one."""
    last = PromptVersion.objects.filter(prompt=OuterRef("pk")).order_by("-number")
    return prompts.annotate(
        last_number=Subquery(last.values("number")[:1]),
        last_model=Subquery(last.values("model")[:1]),
        last_at=Subquery(last.values("created_at")[:1]),
        last_by=Subquery(last.values("user__email")[:1]),
        in_production=F(f"labels__{PRODUCTION}__0"),
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
    try:
        with transaction.atomic():
            prompt = _prompt_named(actor, name) or Prompt.objects.create(
                organisation=organisation_of(actor),
                slug=_free_slug(organisation_of(actor), name),
                name=name,
                user=person_of(actor),
                shared=shared,
            )
            return save_version(actor, prompt, model, settings, note=note)
    except IntegrityError as error:
        raise PromptRefused(gettext("Someone saved it at the same time. Save again.")) from error


def save_version(
    actor: Actor, prompt: Prompt, model: str, settings: Settings, *, note: str
) -> PromptVersion:
    """Save a new version of this prompt. Raises PromptRefused if it became another person's own,
    and Refused for an invalid note."""
    require(actor, "playground.use")
    note = check_text("prompt_note", note, NOTE_MAX)
    with transaction.atomic():
        locked = get_object_or_404(Prompt.objects.select_for_update(), id=prompt.id)
        if not locked.shared and locked.user_id != person_of(actor).id:
            raise PromptRefused(gettext("Someone else already has a prompt with this name."))
        number = (locked.versions.aggregate(last=Max("number"))["last"] or 0) + 1
        version = PromptVersion.objects.create(
            prompt=locked,
            number=number,
            user=person_of(actor),
            model=model,
            settings=settings.stored(),
            note=note,
        )
        audit.record(
            actor, locked.organisation, "prompt.saved", locked, slug=locked.slug, version=number
        )
    return version


def check_free(actor: Actor, name: str) -> None:
    """Raise Refused if a prompt with that name exists, even one that the actor cannot see."""
    require_person(actor)
    if _prompt_named(actor, check_text("name", name, NAME_MAX)):
        text = gettext("There is already a prompt named %(name)s.")
        raise Refused("name", text % {"name": name}, already_exists=True)


def _prompt_named(actor: Actor, name: str) -> Prompt | None:
    """Return the prompt with that name, without regard to case. One that the actor sees comes
    first."""
    same = Prompt.objects.filter(organisation=organisation_of(actor), name__iexact=name)
    oldest = same.order_by("created_at", "id")
    return oldest.filter(Q(shared=True) | Q(user=person_of(actor))).first() or oldest.first()


def _free_slug(organisation: Organisation, name: str) -> str:
    """Return the slug of a new prompt, which differs from every id of OpenAI's prompts. Several
    names have the same plain slug ("客服 GPT" and "翻译 GPT"), and some have none: such a name gets
    its hash appended. The hash is always the same, so that of two people who create the same
    prompt at once, the second one is refused by the unique constraint."""
    slug = slugify(name)[:SLUG_MAX]
    slug = slug.replace("_", "-") if slug.startswith(OPENAI_ID) else slug
    if slug and not Prompt.objects.filter(organisation=organisation, slug=slug).exists():
        return slug
    ending = "-" + sha256(name.encode()).hexdigest()[:8]
    return (slug or "prompt")[: SLUG_MAX - len(ending)] + ending


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
        locked = get_object_or_404(Prompt.objects.select_for_update(), id=prompt.id)
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
        locked = get_object_or_404(Prompt.objects.select_for_update(), id=prompt.id)
        audit.record(actor, locked.organisation, "prompt.deleted", locked, slug=locked.slug)
        locked.delete()


def move_label(actor: Actor, version: PromptVersion, label: str) -> Prompt:
    """Put a label on this version; a new label is added. Callers who name the label get the version
    from then on. Raises Refused."""
    require(actor, "playground.use")
    label = label.strip()
    if not is_label(label):
        text = gettext(
            "A label has up to 40 small letters, digits, hyphens and underscores, and begins with"
            " a letter."
        )
        raise Refused("label", text)
    with transaction.atomic():
        prompt = get_object_or_404(Prompt.objects.select_for_update(), id=version.prompt_id)
        if label not in prompt.labels and len(prompt.labels) >= LABELS_MAX:
            text = gettext("A prompt has at most %(most)s labels.")
            raise Refused("label", text % {"most": LABELS_MAX})
        before = current_versions(prompt.labels).get(label)
        if before != version.number:
            prompt.labels = moved(prompt.labels, label, version.number)
            prompt.save(update_fields=["labels"])
            moves = "prompt.put_in_production" if label == PRODUCTION else "prompt.label_moved"
            audit.record(actor, prompt.organisation, moves, prompt, slug=prompt.slug,
                         label=label, before=before, after=version.number)  # fmt: skip
    return prompt


def roll_back_label(actor: Actor, prompt: Prompt, label: str, number: int) -> Prompt:
    """Put a label back on the version that it was on before. `number` is the version that it is on
    now, so that two people who roll back at once go back one version, not two. Raises Http404
    without such a label, and Refused if it is on another version, or was on no other."""
    require(actor, "playground.use")
    with transaction.atomic():
        locked = get_object_or_404(Prompt.objects.select_for_update(), id=prompt.id)
        before = _version_of_label(locked, label)
        if before != number:
            text = gettext("%(label)s is on version %(number)s meanwhile.")
            raise Refused("version", text % {"label": label, "number": before})
        labels = rolled_back(locked.labels, label)
        if labels is None:
            text = gettext("%(label)s was on no other version before.")
            raise Refused("version", text % {"label": label})
        locked.labels = labels
        locked.save(update_fields=["labels"])
        audit.record(actor, locked.organisation, "prompt.label_rolled_back", locked,
                     slug=locked.slug, label=label, before=before,
                     after=current_versions(labels)[label])  # fmt: skip
    return locked


def remove_label(actor: Actor, prompt: Prompt, label: str) -> Prompt:
    """Remove a label. Callers who name it then get an error. Raises Http404."""
    require(actor, "playground.use")
    with transaction.atomic():
        locked = get_object_or_404(Prompt.objects.select_for_update(), id=prompt.id)
        before = _version_of_label(locked, label)
        locked.labels = {name: kept for name, kept in locked.labels.items() if name != label}
        locked.save(update_fields=["labels"])
        audit.record(actor, locked.organisation, "prompt.label_removed", locked, slug=locked.slug,
                     label=label, before=before)  # fmt: skip
    return locked


def _version_of_label(prompt: Prompt, label: str) -> int:
    number = current_versions(prompt.labels).get(label)
    if number is None:
        raise Http404
    return number
