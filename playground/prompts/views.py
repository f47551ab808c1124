"""Saved prompts and their versions (W13)."""

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from content.models import Prompt, PromptVersion
from content.prompts import prompts
from content.prompts.label_rules import PRODUCTION, earlier_version, labels_of_version
from content.prompts.rules import NAME_MAX
from content.prompts.settings import Settings
from content.prompts.variables import names_in
from lib.htmx import is_htmx, redirect_to, render_dialog, toast
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Column, Filter, Table
from playground.compare.rules import word_difference
from playground.conversations.conversations import access_conversation
from playground.messages import page
from playground.panel.settings import write_json
from playground.prompts.forms import LabelForm, RollBackForm
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
        Column(
            "production",
            _("In production"),
            "number",
            value="in_production",
            sort=True,
            priority=2,
            card="money",
        ),
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
    words = request.GET.get("q", "").replace("\x00", "")[:NAME_MAX]
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
        "versions": [
            {"version": one, "labels": labels_of_version(version.prompt.labels, one.number)}
            for one in versions
        ],
        "labels": [
            {"name": name, "number": numbers[0], "earlier": numbers[1:]}
            for name, numbers in sorted(version.prompt.labels.items())
        ],
        "own_labels": labels_of_version(version.prompt.labels, version.number),
        "against": against,
        "settings": Settings.from_stored(version.settings),
        "settings_json": _other_settings(version.settings),
        "pieces": word_difference(_version_text(against.settings), _version_text(version.settings))
        if against else [],
        "variables": names_in(str(version.settings.get("system", ""))),
        "slug": slug_of(actor),
        "number": str(version.number),
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
    if not is_htmx(request):
        return redirect(_version_url(actor, version))
    message = gettext("Saved as %(name)s, version %(n)s.") % {
        "name": version.prompt.name, "n": version.number}  # fmt: skip
    return toast(HttpResponse(status=200), message)


@organisation_page("playground.use")
@require_http_methods(["GET", "HEAD", "POST"])
def prompt_label_move(request: HttpRequest, actor: Actor, prompt: str) -> HttpResponseBase:
    """Put a label on a version."""
    opened = prompts.find_version(actor, prompt, request.GET.get("v", ""))
    initial = {"label": request.GET.get("label", ""), "version": str(opened.number)}
    versions = prompts.versions_of_prompt(opened.prompt)
    form = LabelForm(versions, request.POST or None, initial=initial)
    if form.is_valid():
        version = prompts.find_version(actor, prompt, form.cleaned_data["version"])
        try:
            prompts.move_label(actor, version, form.cleaned_data["label"])
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Saved. The change applies to new requests."))
            return redirect_to(request, _version_url(actor, version))
    title, verb = gettext("Put a label on a version"), gettext("Put label")
    return _label_dialog(request, actor, opened.prompt, form, title=title, verb=verb)


@organisation_page("playground.use")
@require_http_methods(["GET", "HEAD", "POST"])
def prompt_label_roll_back(
    request: HttpRequest, actor: Actor, prompt: str, label: str
) -> HttpResponseBase:
    """Confirm that a label goes back to the version before."""
    version = prompts.find_version(actor, prompt, label)
    form = RollBackForm(request.POST or None, initial={"version": version.number})
    if form.is_valid():
        number = form.cleaned_data["version"]
        try:
            prompts.roll_back_label(actor, version.prompt, label, number)
        except Refused as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, gettext("Rolled back. The change applies to new requests."))
            return redirect_to(
                request, _version_url(actor, prompts.find_version(actor, prompt, label))
            )
    title = gettext("Roll back %(label)s") % {"label": label}
    earlier = earlier_version(version.prompt.labels, label)
    before = "–" if earlier is None else earlier
    text = gettext("Requests that name this label use version %(before)s instead of %(now)s.")
    line = text % {"now": version.number, "before": before}
    verb = gettext("Roll back")
    return _label_dialog(request, actor, version.prompt, form, title=title, verb=verb, line=line)


@organisation_page("playground.use")
@require_http_methods(["GET", "HEAD", "POST"])
def prompt_label_remove(
    request: HttpRequest, actor: Actor, prompt: str, label: str
) -> HttpResponseBase:
    """Confirm that a label is removed."""
    version = prompts.find_version(actor, prompt, label)
    if request.method == "POST":
        prompts.remove_label(actor, version.prompt, label)
        messages.success(request, gettext("Label removed."))
        return redirect_to(request, _version_url(actor, version))
    title = gettext("Remove label %(label)s") % {"label": label}
    line = gettext("Requests that name this label get an error from then on.")
    verb = gettext("Remove label")
    return _label_dialog(
        request, actor, version.prompt, forms.Form(), title=title, verb=verb, line=line,
        kind="danger",
    )  # fmt: skip


def _label_dialog(
    request: HttpRequest,
    actor: Actor,
    prompt: Prompt,
    form: forms.Form,
    *,
    title: str,
    verb: str,
    line: str = "",
    kind: str = "primary",
) -> HttpResponse:
    context = {
        "form": form, "title": title, "verb": verb, "line": line, "kind": kind,
        "back": reverse("prompt", args=[slug_of(actor), prompt.slug]), "back_text": prompt.name,
    }  # fmt: skip
    template = "accounts/organisations/form_dialog.html"
    return render_dialog(request, template, context, refused=form.is_bound)


def _version_url(actor: Actor, version: PromptVersion) -> str:
    url = reverse("prompt", args=[slug_of(actor), version.prompt.slug])
    return f"{url}?v={version.number}"


@organisation_page("playground.use")
@require_POST
def prompt_production(request: HttpRequest, actor: Actor, prompt: str) -> HttpResponse:
    version = prompts.find_version(actor, prompt, request.POST.get("v", ""))
    prompts.move_label(actor, version, PRODUCTION)
    return redirect(_version_url(actor, version))
