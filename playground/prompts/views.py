"""Saved prompts and their versions (W13)."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from lib.htmx import is_htmx, toast
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Column, Filter, Table
from playground.compare.rules import word_difference
from playground.conversations.conversations import access_conversation
from playground.messages import page
from playground.models import Prompt
from playground.panel.settings import Settings, write_json
from playground.panel.variables import names_in
from playground.prompts import prompts
from playground.turns.form import form_values, panel_settings
from playground.turns.turns import TurnRefused


def _visible_to(prompt: Prompt) -> str:
    return gettext("Organisation") if prompt.shared else gettext("Only you")


PROMPTS = Table(
    "prompts",
    _("Prompts"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column("slug", _("Slug"), "code", sort=True, priority=4),
        Column("model", _("Model"), value="last_model", sort=True, card="second"),
        Column("versions", _("Versions"), "number", value="last_number", sort=True, priority=3),
        Column("production", _("In production"), "number", sort=True, priority=2, card="money"),
        Column("visible", _("Visible to"), value=_visible_to, sort="shared", priority=4),
        Column("saved", _("Last saved"), "ago", value="last_at", sort=True, card="last"),
        Column("by", _("Saved by"), value="last_by", sort=True, priority=3),
    ),
    default_sort="name",
    filters=(
        Filter("q", _("Name or model"), "search"),
        Filter(
            "visible",
            _("Visible to"),
            choices=(
                ("", _("All prompts")),
                ("own", _("Only you")),
                ("all", _("Organisation")),
            ),
        ),
    ),
)


@organisation_page("prompts.read")
@require_safe
def prompt_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PROMPTS, request, actor)
    rows = prompts.annotate_last_version(prompts.visible_prompts(actor))
    if state.value("visible"):
        rows = rows.filter(shared=state.value("visible") == "all")
    if text := state.value("q"):
        rows = rows.filter(
            Q(name__icontains=text) | Q(slug__icontains=text) | Q(last_model__icontains=text)
        )
    templates = ("playground/prompts/prompts.html", "playground/prompts/_prompts.html")
    return answer_table(request, state, QuerySource(rows), templates, {"slug": slug_of(actor)})


@organisation_page("prompts.read")
@require_safe
def prompt_pick(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the prompts that can be inserted into the draft of a page, searched by name."""
    slug, chat = slug_of(actor), request.GET.get("conversation", "")
    words = request.GET.get("q", "").replace("\x00", "")[: prompts.NAME_MAX]
    matches = prompts.search_prompts(actor, words)
    # The prompt is inserted into the draft of the open chat, or else of a new one.
    page_url = (
        page.conversation_url(slug, id_text(access_conversation(actor, chat, temporary=True).id))
        if chat
        else reverse("playground", args=[slug])
    )
    context = {
        "groups": [
            (gettext("Your own"), [match for match in matches if not match[0].shared]),
            (gettext("Organisation"), [match for match in matches if match[0].shared]),
        ],
        "found": matches,
        "words": words,
        "page_url": page_url,
    }
    return render(request, "playground/prompts/_prompts_found.html", context)


@organisation_page("prompts.read")
@require_safe
def prompt_show(request: HttpRequest, actor: Actor, prompt: str) -> HttpResponse:
    """Show one version, and its difference from another."""
    version = prompts.find_version(actor, prompt, request.GET.get("v", ""))
    versions = prompts.versions_of_prompt(version.prompt)
    number = request.GET.get("against", str(version.number - 1))
    against = next((version for version in versions if str(version.number) == number), None)
    context = {
        "prompt": version.prompt,
        "version": version,
        "versions": versions,
        "against": against,
        "settings": Settings.from_stored(version.settings),
        "settings_json": _other_settings(version.settings),
        "pieces": word_difference(_version_text(against.settings), _version_text(version.settings))
        if against else [],
        "variables": names_in(str(version.settings.get("system", ""))),
        "slug": slug_of(actor),
        "may_send": scope_of(actor, "playground.use") is not None,
    }  # fmt: skip
    return render(request, "playground/prompts/prompt.html", context)


def _version_text(settings: dict[str, object]) -> str:
    parts = (str(settings.get("system", "")), _other_settings(settings))
    return "\n\n".join(part for part in parts if part)


def _other_settings(settings: dict[str, object]) -> str:
    remaining = {name: value for name, value in settings.items() if name != "system"}
    return write_json(remaining) if remaining else ""


@organisation_page("playground.use")
@require_POST
def prompt_save(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Save the panel as a new version."""
    form = form_values(request.POST)
    try:
        settings = panel_settings(form.get("model", ""), form)
        version = prompts.save_prompt(
            actor,
            request.POST.get("prompt_name", ""),
            form.get("model", "")[:200],
            settings,
            note=request.POST.get("prompt_note", ""),
            shared="prompt_shared" in form,
        )
    except (TurnRefused, prompts.PromptRefused, Refused) as refused:
        return toast(HttpResponse(status=200), str(refused), tone="bad")
    slug = slug_of(actor)
    url = reverse("prompt", args=[slug, version.prompt.slug])
    if not is_htmx(request):
        return redirect(f"{url}?v={version.number}")
    message = gettext("Saved as %(name)s, version %(n)s.") % {
        "name": version.prompt.name, "n": version.number}  # fmt: skip
    return toast(HttpResponse(status=200), message)


@organisation_page("playground.use")
@require_POST
def prompt_production(request: HttpRequest, actor: Actor, prompt: str) -> HttpResponse:
    version = prompts.find_version(actor, prompt, request.POST.get("v", ""))
    prompts.put_in_production(actor, version)
    url = reverse("prompt", args=[slug_of(actor), prompt])
    return redirect(f"{url}?v={version.number}")
