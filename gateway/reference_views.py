"""What anybody may read: the API reference; where the operator shows them, models and prices."""

import json
from collections.abc import Mapping
from functools import wraps
from typing import Any, Final, cast
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import Actor, open_page, scope_of, sign_in_first, slug_of
from gateway.calculator import calculated_context
from gateway.codecs.errors import ANTHROPIC_TYPES, GEMINI_STATUSES, KINDS
from gateway.examples import (
    FORM_NAMES,
    asked_language,
    code_context,
    embedding_call,
    example_models,
    first_call,
)
from gateway.installation import installation_settings
from gateway.price_book import price_book
from gateway.reference.errors import ERRORS
from gateway.reference.faq import FAQ
from gateway.reference.guides import GUIDES
from gateway.reference.headers import ANSWERED, SENT
from gateway.reference.page import Page
from gateway.reference.pages import GROUPS, PAGES
from gateway.reference.schemas import SCHEMAS
from gateway.relay.endpoints import listed_rows
from gateway.rules.snippets import FORMS, Call, Form, Language
from gateway.shown_models import CAPABILITIES, ShownModel, capability_names, models_for
from lib import clock
from lib.htmx import render_part

_CONTEXTS: Final = (32_000, 128_000, 200_000, 1_000_000)
_COMPARED_MAX: Final = 4


# The reference ---------------------------------------------------------------------------------


@open_page
@require_safe
def docs(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    language = asked_language(request)
    call, _, _ = _example(PAGES["chat-completions"], actor)
    context = {
        **_docs_context(language, "overview"),
        **code_context(call, language),
        "paths": {page.slug: _paths(page)[0] for page in PAGES.values()},
    }
    return render(request, "gateway/docs.html", context)


@open_page
@require_safe
def docs_page(request: HttpRequest, actor: Actor | None, slug: str) -> HttpResponse:
    page = PAGES.get(slug)
    if page is None and slug in GUIDES:
        guided = {**_docs_context(asked_language(request), slug), "guide": GUIDES[slug]}
        return render(request, "gateway/docs_guide.html", guided)
    if page is None:
        raise Http404
    language = asked_language(request)
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
    return render(request, "gateway/docs_page.html", context)


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
        "gateway/docs_errors.html",
        {**_docs_context(asked_language(request), "errors"), "rows": rows},
    )


@open_page
@require_safe
def docs_headers(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    context = {
        **_docs_context(asked_language(request), "headers"),
        "sent": SENT,
        "answered": ANSWERED,
    }
    return render(request, "gateway/docs_headers.html", context)


@open_page
@require_safe
def docs_faq(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    context = {**_docs_context(asked_language(request), "faq"), "faq": FAQ}
    return render(request, "gateway/docs_faq.html", context)


def _docs_context(language: Language, current: str) -> dict[str, Any]:
    return {
        "groups": GROUPS,
        "guides": GUIDES.values(),
        "current": current,
        "lang_query": f"?lang={language}",
    }


def _example(page: Page, actor: Actor | None) -> tuple[Call, str, str]:
    """A page's example and its answer, with models that can be asked here in the place of its own,
    and the model that is named although nobody serves it, if it is one; a stranger who may not see
    the models is told nothing of them."""
    path, body, answer, unserved = page.path, page.example, page.answer, ""
    if body is not None and (actor is not None or installation_settings().public_models):
        models = models_for(actor.organisation if actor else None)
        names = {one.name for one in models}
        for named, served in example_models(models).items():
            own = body.get("model") == named
            if served not in names and (own or f"/{named}:" in path):
                unserved = served
            path = path.replace(f"/{named}:", f"/{quote(served)}:")
            answer = answer.replace(json.dumps(named), json.dumps(served, ensure_ascii=False))
            if own:
                body = {**body, "model": served}
    method = "GET" if body is None else "POST"
    return Call(page.operations[0], path, body, method, page.argument), answer, unserved


def _paths(page: Page) -> list[dict[str, str]]:
    """Every address of a page's operations with its methods, as the relay reads them."""
    rows = listed_rows()
    found = [
        {"path": path, "methods": ", ".join(row.methods)}
        for operation in page.operations
        for path, row in rows.items()
        if row.told_as == operation
    ]
    return found


# Models and prices -----------------------------------------------------------------------------


def _shown_page(view: Any) -> Any:
    """A page for everybody, if the operator shows it to everybody; else for who is signed in."""

    @wraps(view)
    def guarded(request: HttpRequest, actor: Actor | None, **kwargs: Any) -> HttpResponseBase:
        if actor is None and not installation_settings().public_models:
            return sign_in_first(request)
        return cast(HttpResponseBase, view(request, actor, **kwargs))

    return open_page(guarded)


@_shown_page
@require_safe
def model_catalogue(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    models = models_for(actor.organisation if actor else None)
    asked = {name: request.GET.get(name, "").strip() for name in ("q", "cap", "provider", "sort")}
    context_min = next((n for n in _CONTEXTS if str(n) == request.GET.get("ctx", "")), 0)
    rows = [model for model in models if _fits(model, asked, context_min)]
    if asked["sort"] == "price":
        rows.sort(key=lambda model: (model.input_rate is None, model.input_rate or 0, model.name))
    elif asked["sort"] == "context":
        rows.sort(key=lambda model: (-(model.can.context_max or 0), model.name))
    context = {
        "rows": rows,
        "total": len(models),
        "asked": asked,
        "context_min": context_min,
        "contexts": _CONTEXTS,
        "capabilities": {name: str(word) for name, word in CAPABILITIES.items()},
        "providers": sorted({model.owner for model in models if model.owner}),
        "compare": actor is not None and _may_try(actor),
        "compared_max": _COMPARED_MAX,
    }
    return render_part(request, "gateway/catalogue.html", "gateway/_catalogue.html", context)


@_shown_page
@require_safe
def model_page(request: HttpRequest, actor: Actor | None, name: str) -> HttpResponse:
    model = next(
        (one for one in models_for(actor.organisation if actor else None) if one.name == name), None
    )
    if model is None:
        raise Http404
    language = asked_language(request)
    asked = request.GET.get("form", "")
    form: Form = next((one for one in FORMS if one == asked), "chat_completions")
    call = embedding_call(name) if model.embeds else first_call(name, form)
    try_href = ""
    if actor is not None and _may_try(actor) and not model.embeds:
        playground = reverse("playground", args=[slug_of(actor)])
        try_href = f"{playground}?m={quote(name, safe='')}"
    context = {
        "model": model,
        "form": form,
        "forms": FORM_NAMES,
        "try_href": try_href,
        **code_context(call, language),
    }
    return render(request, "gateway/model.html", context)


@_shown_page
@require_safe
def pricing(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    book = price_book(None, clock.now())
    query = request.GET.get("q", "").strip()
    context = {
        "book": book,
        "rows": [one for one in book.entries if query.lower() in one.model.lower()],
        "query": query,
        "models": sorted({one.model for one in book.entries if not one.condition}),
        "calc_open": True,
        **calculated_context(request, book),
    }
    return render(request, "gateway/pricing.html", context)


def _fits(model: ShownModel, asked: Mapping[str, str], context_min: int) -> bool:
    words = [model.name, model.owner, *model.aliases]
    return (
        (not asked["q"] or any(asked["q"].lower() in word.lower() for word in words))
        and (not asked["cap"] or asked["cap"] in capability_names(model))
        and (not asked["provider"] or model.owner == asked["provider"])
        and (not context_min or (model.can.context_max or 0) >= context_min)
    )


def _may_try(actor: Actor) -> bool:
    return actor.organisation is not None and scope_of(actor, "playground.use") is not None
