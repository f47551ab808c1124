"""Public pages: the API reference, and models and prices where the operator shows them."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import open_page
from dialects.errors.errors import ANTHROPIC_TYPES, GEMINI_STATUSES, KINDS
from gateway.code_examples.examples import code_context, example_models, snippet_language
from gateway.code_examples.snippets import Language, SnippetRequest
from gateway.listed_models.shown_models import models_for
from gateway.settings.installation import installation_settings
from reference.answers.errors import ERRORS
from reference.answers.headers import ANSWERED, SENT, SESSIONS
from reference.answers.schemas import SCHEMAS
from reference.guides.conversation_guides import MEMBERS, STRUCTURED, TOOLS
from reference.guides.faq import FAQ
from reference.guides.guide import Guide
from reference.guides.model_guides import MODELS, SEARCH, THINKING
from reference.guides.tool_guide import OWN_TOOLS
from reference.operations.all_pages import GROUPS, PAGES
from reference.operations.page import ReferencePage
from relay.endpoints.table import listed_rows

# What follows the name of a model in a path.
_AFTER_MODEL: Final = (":", "/")


@open_page
@require_safe
def docs(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    language = snippet_language(request)
    call, _, _ = _example(PAGES["chat-completions"], actor)
    context = {
        **_docs_context(language, "overview"),
        **code_context(call, language),
        "paths": {page.slug: _paths(page)[0] for page in PAGES.values()},
    }
    return render(request, "reference/overview.html", context)


@open_page
@require_safe
def docs_page(request: HttpRequest, actor: Actor | None, slug: str) -> HttpResponse:
    page = PAGES.get(slug)
    if page is None and slug in GUIDES:
        guided = {**_docs_context(snippet_language(request), slug), "guide": GUIDES[slug]}
        return render(request, "reference/guide.html", guided)
    if page is None:
        raise Http404
    language = snippet_language(request)
    paths = _paths(page)
    call, answer, unserved = _example(page, actor)
    context = {
        **_docs_context(language, slug),
        **code_context(call, language),
        "page": page,
        "answer": answer,
        "schema": SCHEMAS.get(slug, ()),
        "unserved": unserved,
        "main": paths[0],
        "aliases": paths[1:],
        "has_example": page.slug != "not-offered",
    }
    return render(request, "reference/page.html", context)


@open_page
@require_safe
def docs_errors(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    rows = [
        {
            "kind": kind,
            "row": row,
            "told": ERRORS[kind],
            "anthropic": ANTHROPIC_TYPES.get(kind, "invalid_request_error"),
            "gemini": GEMINI_STATUSES.get(kind, "INVALID_ARGUMENT"),
        }
        for kind, row in sorted(KINDS.items(), key=lambda item: item[1].status)
    ]
    return render(
        request,
        "reference/errors.html",
        {**_docs_context(snippet_language(request), "errors"), "rows": rows},
    )


@open_page
@require_safe
def docs_headers(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    context = {
        **_docs_context(snippet_language(request), "headers"),
        "sent": SENT,
        "sessions": SESSIONS,
        "answered": ANSWERED,
    }
    return render(request, "reference/headers.html", context)


@open_page
@require_safe
def docs_faq(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    context = {**_docs_context(snippet_language(request), "faq"), "faq": FAQ}
    return render(request, "reference/faq.html", context)


def _docs_context(language: Language, current: str) -> dict[str, Any]:
    return {
        "groups": GROUPS,
        "guides": GUIDES.values(),
        "current": current,
        "lang_query": f"?lang={language}",
    }


def _example(page: ReferencePage, actor: Actor | None) -> tuple[SnippetRequest, str, str]:
    """Return a page's example and its answer, with available models in place of the example's own,
    and the model that is named although nobody serves it, or "". Visitors who may not see the
    models are told nothing about them."""
    path, body, answer, unserved = page.path, page.example, page.answer, ""
    if body is not None and (actor is not None or installation_settings().public_models):
        models = models_for(actor)
        names = {model.name for model in models}
        for named, served in example_models(models).items():
            own = body.get(page.model_field) == named
            in_path = any(f"/{named}{end}" in path for end in _AFTER_MODEL)
            if served not in names and (own or in_path):
                unserved = served
            for end in _AFTER_MODEL:
                path = path.replace(f"/{named}{end}", f"/{quote(served)}{end}")
            answer = answer.replace(json.dumps(named), json.dumps(served, ensure_ascii=False))
            if own:
                body = {**body, page.model_field: served}
    method = "GET" if body is None else "POST"
    call = SnippetRequest(page.operations[0], path, body, method, page.argument, page.files)
    return call, answer, unserved


def _paths(page: ReferencePage) -> list[dict[str, str]]:
    """Return every path of a page's operations with its methods, as in the relay's table."""
    rows = listed_rows()
    matches = [
        {"path": path, "methods": ", ".join(row.methods)}
        for operation in page.operations
        for path, row in rows.items()
        if row.reference_name == operation
    ]
    return matches


GUIDES: Final[Mapping[str, Guide]] = MappingProxyType(
    {
        guide.slug: guide
        for guide in (MODELS, MEMBERS, TOOLS, OWN_TOOLS, STRUCTURED, THINKING, SEARCH)
    }
)
