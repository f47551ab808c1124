"""Pages of the content log's rules."""

from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import access
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys.choices import key_choices, team_choices
from accounts.preferences.table_preferences import read_table
from content.models import Keep, LogRule, LogScope
from content.rules import log_rules
from content.rules.forms import NewRuleForm, RuleForm
from content.rules.words import KEEPS, SCOPES, time_text
from content.sinks.sinks import used_content_sinks
from lib import clock
from lib.forms.picker import Choice, answer_choices, typed_text
from lib.htmx import back_to, redirect_to, render_dialog, sent_next
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table

LOG_RULES: Final = Table(
    "log-rules",
    _("Content log"),
    (
        Column("subject", _("Applies to"), sort=True, card="title"),
        Column("scope", _("Scope"), sort="n", card="second"),
        Column("keeps", _("Keep"), sort=True, card="first"),
        Column("time", _("Keep for"), sort="hours", card="last"),
        Column("ends", _("Rule ends"), "time", value="rule.ends_at", sort=True, priority=2),
        Column("share", _("Share of requests"), sort="percent", priority=2),
        Column("leaving", _("Requests can ask not to be kept"), priority=3),
        Column("by", _("Added by"), sort=True, chosen=False),
        Column("added", _("Added"), "ago", value="rule.created_at", sort=True, chosen=False),
    ),
    default_sort="scope",
    key="rule.id",
    filters=(
        Filter("q", _("Applies to"), "search"),
        Filter("scope", _("Scope"), choices=(("", _("Any scope")), *SCOPES.items())),
    ),
)


@organisation_page("organisation.write")
@require_safe
def log_rule_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(LOG_RULES, request, actor)
    rules = list(log_rules.visible_rules(actor))
    names = log_rules.subject_names(rules)
    rows = [
        _row(actor, rule, names[rule.id])
        for rule in rules
        if state.value("q").casefold() in names[rule.id].casefold()
        and state.value("scope") in ("", rule.scope)
    ]
    templates = ("content/rules/log_rules.html", "content/rules/_log_rules.html")
    reads = reverse("audit", args=[slug_of(actor)]) + "?action=read"
    context = {
        "audit_href": access.scope_of(actor, "audit.read") and reads,
        "sent_on": settings.TRACES and settings.TRACE_CONTENT,
        "sinks": used_content_sinks(),
    }
    return answer_table(request, state, ListSource(rows), templates, context)


def _row(actor: Actor, rule: LogRule, name: str) -> dict[str, Any]:
    ended = rule.ends_at is not None and rule.ends_at <= clock.now()
    kept = rule.keep != Keep.NOTHING
    args = [slug_of(actor), id_text(rule.id)]
    return {
        "rule": rule,
        "n": list(SCOPES).index(rule.scope),
        "subject": name,
        "scope": str(SCOPES[rule.scope]),
        "keeps": gettext("Nothing: it has ended") if ended else str(KEEPS[rule.keep]),
        "hours": rule.retention_hours if kept else 0,
        "time": time_text(rule.retention_hours) if kept else None,
        "percent": rule.share_percent if kept else 0,
        "share": f"{rule.share_percent} %" if kept else None,
        "leaving": (gettext("Yes") if rule.callers_may_opt_out else gettext("No"))
        if kept
        else None,
        "by": rule.created_by.email if rule.created_by else None,
        "href": reverse("log_rule_edit", args=args),
        "remove_href": reverse("log_rule_remove", args=args),
    }


@organisation_page("organisation.write")
@require_safe
def log_rule_subject_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    text, scope = typed_text(request), request.GET.get("scope", "")
    choices: list[Choice] = []
    if scope == LogScope.TEAM:
        choices = team_choices(actor, text)
    elif scope == LogScope.KEY and access.scope_of(actor, "keys.read") is not None:
        choices = key_choices(actor, text)
    elif scope == LogScope.MODEL and text:
        choices = [Choice(text, text, gettext("Requests to models of this name or pattern"))]
    return answer_choices(request, choices, gettext("Nothing matches."))


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def log_rule_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """`scope` and `subject` in the address begin the form, for links from other pages, to which
    `next` leads back."""
    initial = {name: request.GET[name] for name in ("scope", "subject") if name in request.GET}
    form = NewRuleForm(request.POST or None, initial=initial, actor=actor)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            log_rules.add_rule(
                actor,
                organisation_of(actor),
                scope=data["scope"],
                subject=log_rules.find_subject(actor, data["scope"], data["subject"].strip()),
                **form.terms(),
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Rule added. It applies from now on."))
            return redirect_to(
                request, back_to(request, reverse("log_rules", args=[slug_of(actor)]))
            )
    context = {"form": form, "next": sent_next(request)}
    return _dialog(request, "content/rules/log_rule_new.html", context, form)


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def log_rule_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    rule = log_rules.access_rule(actor, id)
    form = RuleForm.of(rule, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            log_rules.change_rule(actor, rule, **form.terms())
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Rule saved. It applies from now on."))
            return redirect_to(request, "log_rules", slug_of(actor))
    context = {"form": form, "name": _name(rule)}
    return _dialog(request, "content/rules/log_rule_edit.html", context, form)


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def log_rule_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    rule = log_rules.access_rule(actor, id)
    if request.method == "POST":
        log_rules.remove_rule(actor, rule)
        messages.success(request, gettext("Rule deleted."))
        return redirect_to(request, "log_rules", slug_of(actor))
    context = {"name": _name(rule), "keeps_nothing": rule.keep == Keep.NOTHING}
    return render_dialog(request, "content/rules/log_rule_remove.html", context)


def _name(rule: LogRule) -> str:
    return log_rules.subject_names([rule])[rule.id]


def _dialog(
    request: HttpRequest, template: str, context: dict[str, Any], form: RuleForm
) -> HttpResponseBase:
    return render_dialog(request, template, context, refused=bool(form.errors))
