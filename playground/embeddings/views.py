"""Embeddings (W15): a form for lines, and a table of their vectors and similarities."""

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from dialects.errors.errors import RequestFault
from gateway.code_examples.examples import LANGUAGE_NAMES, code_context
from gateway.code_examples.snippets import SnippetRequest
from lib.database.async_database import run_in_database
from lib.htmx import render_part
from lib.ids import id_text
from lib.numbers.formatting import MINUS
from playground.embeddings.embedding import (
    Embedded,
    EmbeddingRefused,
    bound_of,
    embed,
    embedding_body,
    embedding_models,
)
from playground.embeddings.vectors import cosines, length_of
from playground.relaying.relaying import relay_of
from playground.turns.form import form_values
from relay.errors import DatabaseAway

_FIRST_VALUES: Final = 6


@dataclass(frozen=True)
class Row:
    """A line and its vector. `nearness` is its cosine to each line, as text and as a shade of the
    table from 0 (none or opposite) to 10 (equal)."""

    number: int
    text: str
    dimensions: int
    length: str
    first: str
    nearness: list[tuple[str, int]]


@organisation_page("playground.read")
@require_safe
def embeddings(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _page(request, actor, {"form": form_values(request.GET)})


@organisation_page("playground.use")
@require_POST
async def embedding_bound(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    context: dict[str, Any] = {}
    try:
        body = await run_in_database(embedding_body, actor, form_values(request.POST))
        context["bound"] = await bound_of(actor, relay_of(request), body)
    except EmbeddingRefused:
        pass  # the error is shown when the form is sent
    except RequestFault as fault:
        context["blocked"] = fault.message
    except DatabaseAway:
        context["away"] = True
    return await run_in_database(
        render, request, "playground/embeddings/_embedding_cost.html", context
    )


@organisation_page("playground.use")
@require_POST
async def embedding_run(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = form_values(request.POST)
    context: dict[str, Any] = {"form": form}
    status = 200
    try:
        body = await run_in_database(embedding_body, actor, form)
        embedded = await embed(actor, relay_of(request), body)
        context |= _result(embedded, body)
    except EmbeddingRefused as refused:
        context["error"], status = str(refused), 422
    except RequestFault as fault:
        context["error"], status = fault.message, 422
    except DatabaseAway:
        message = gettext("The database is not responding. Nothing was sent. Try again shortly.")
        context["error"], status = message, 503
    return await run_in_database(_page, request, actor, context, status)


def _result(embedded: Embedded, body: dict[str, Any]) -> dict[str, Any]:
    near = cosines(embedded.vectors)
    call = SnippetRequest("embeddings", "/v1/embeddings", body)
    return {
        "rows": [
            Row(
                number,
                line,
                len(vector),
                f"{length_of(vector):.4f}",
                ", ".join(_number(value, 4) for value in vector[:_FIRST_VALUES]),
                [_closeness_band(value) for value in near[number - 1]],
            )
            for number, (line, vector) in enumerate(
                zip(embedded.lines, embedded.vectors, strict=True), 1
            )
        ],
        "outcome": embedded.outcome,
        "in_tokens": sum(embedded.outcome.meters.values()),
        "request_id": id_text(embedded.outcome.request_id),
        "codes": [
            code_context(call, language) | {"id": f"embed-{language}"}
            for language in LANGUAGE_NAMES
        ],
    }


def _closeness_band(value: float | None) -> tuple[str, int]:
    if value is None:
        return "–", 0
    return _number(value, 3), max(0, round(value * 10))


def _number(value: float, places: int) -> str:
    return f"{value:.{places}f}".replace("-", MINUS)


def _page(
    request: HttpRequest, actor: Actor, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    models = embedding_models(actor)
    names = [model.name for model in models]
    requested = context["form"].get("model") or context["form"].get("m", "")
    context |= {
        "slug": slug_of(actor),
        "models": models,
        "chosen_model": requested if requested in names else next(iter(names), ""),
        "may_send": scope_of(actor, "playground.use") is not None,
    }
    return render_part(
        request,
        "playground/embeddings/embeddings.html",
        "playground/embeddings/_embedded.html",
        context,
        status=status,
    )
