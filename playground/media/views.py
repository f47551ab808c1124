"""Images, speech, transcripts and videos (W15): one page for each kind with a shared frame, and the
gallery."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final

from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from dialects.errors.errors import RequestFault
from gateway.code_examples.examples import codes_with_key
from gateway.code_examples.snippets import SnippetRequest
from lib.database.async_database import run_in_database
from lib.htmx import is_htmx, render_part, see_other
from lib.ids import id_text, new_id, parse_id
from lib.refusal import Refused
from playground.media.answer import subtitles
from playground.media.media import (
    RESULT,
    MediaOrder,
    access_media_run,
    begin_media,
    delete_media,
    search_media,
    stop_media,
    stored_media_payer,
)
from playground.media.orders import add_media_file, bounds_of, read_order
from playground.media.page import (
    RunDisplay,
    batch_of,
    button_prices,
    describe_runs,
    form_context,
    page_name,
    recent_batches,
    values_of_run,
)
from playground.media.rules import pictures_in
from playground.media.runs import start_media
from playground.media.service import PlayedFile
from playground.media.tabs import tabs_context
from playground.media.task_services import MEDIA_SERVICES
from playground.media.words import PAGES
from playground.models import MediaKind, MediaRun
from playground.relaying.relaying import relay_of
from playground.turns.form import form_values
from relay.errors import DatabaseAway, DatabaseRefused
from relay.pages.page_operations import PAGE_PATHS
from relay.upstream.failures import UpstreamFailed

GALLERY_MAX: Final = 24
_VIDEO: Final = PlayedFile("video.mp4", "video/mp4")


@organisation_page("playground.read")
@require_safe
def media_page(request: HttpRequest, actor: Actor, kind: str) -> HttpResponse:
    """Show a media page. `again` is a run whose settings the form starts with, `picture` a file of
    the actor. A task service may read other values."""
    values = form_values(request.GET)
    if kind in MEDIA_SERVICES:
        values = MEDIA_SERVICES[kind].initial(values, partial(_read_run, actor))
    if again := values.pop("again", ""):
        repeated = values_of_run(access_media_run(actor, again))
        if "picture" in values:
            repeated.pop("mask", "")
        values = repeated | values
    return _page(request, actor, kind, values)


def _read_run(actor: Actor, id: str) -> tuple[RunDisplay, dict[str, str]]:
    """Return a run of the actor for display, and the values of its form."""
    run = access_media_run(actor, id)
    (one,) = describe_runs([run])
    return one, values_of_run(run)


@organisation_page("playground.use")
@require_POST
def media_fields(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the fields of the chosen model, with earlier values that it supports."""
    kind = _kind(request)
    context = form_context(actor, kind, form_values(request.POST))
    # The actions of a service differ in more than their fields, so the whole form is replaced.
    part = "_media_form.html" if kind in MEDIA_SERVICES else "_media_fields.html"
    return render(request, f"playground/media/{part}", context)


@organisation_page("playground.use")
@require_POST
def media_file_add(request: HttpRequest, actor: Actor) -> HttpResponse:
    kind, role = _kind(request), str(request.POST.get("role", ""))
    upload = request.FILES.get("file")
    context = form_context(actor, kind, {"model": str(request.POST.get("model", ""))})
    context |= {"role": role}
    try:
        if upload is None:
            raise Refused(role, gettext("Choose a file."))
        file = add_media_file(actor, kind, role, upload.name or "", upload.read())
    except Refused as refused:
        context["error"] = refused.message
        return render(request, "playground/media/_media_given.html", context, status=422)
    context["given"] = {role: file}
    return render(request, "playground/media/_media_given.html", context)


@organisation_page("playground.use")
@require_POST
async def media_bound(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    context: dict[str, Any] = {}
    try:
        form = form_values(request.POST)
        order = await run_in_database(read_order, actor, _kind(request), form, draft=True)
        bounds = await bounds_of(actor, relay_of(request), order)
        context = {"bounds": bounds, "compares": len(bounds) > 1}
    except Refused:
        pass  # the error is shown when the form is sent
    except RequestFault as fault:
        context["blocked"] = fault.message
    except DatabaseAway:
        context["away"] = True
    return await run_in_database(render, request, "playground/media/_media_cost.html", context)


@organisation_page("playground.use")
@require_POST
async def media_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    kind, form = _kind(request), form_values(request.POST)
    try:
        order = await run_in_database(_order, actor, kind, form, request)
    except Refused as refused:
        context = {"error": refused.message, "form": form}
        return await run_in_database(_show_refusal, request, actor, kind, context)
    runs = await run_in_database(begin_media, actor, order)
    start_media(runs, actor, relay_of(request))
    return await run_in_database(_show_started, request, actor, kind, runs)


def _order(actor: Actor, kind: str, form: dict[str, str], request: HttpRequest) -> MediaOrder:
    mask = request.FILES.get("painted")
    if mask is not None and mask.size:
        form["mask"] = add_media_file(actor, kind, "mask", "mask.png", mask.read()).text_id
    return read_order(actor, kind, form)


def _show_refusal(
    request: HttpRequest, actor: Actor, kind: str, context: dict[str, Any]
) -> HttpResponse:
    form = context.pop("form")
    if not is_htmx(request):
        return _page(request, actor, kind, form, context, status=422)
    response = render(request, "playground/media/_media_error.html", context, status=422)
    response["HX-Retarget"] = "#media-error"
    response["HX-Reswap"] = "innerHTML"
    return response


def _show_started(
    request: HttpRequest, actor: Actor, kind: str, runs: list[MediaRun]
) -> HttpResponse:
    if not is_htmx(request):
        return see_other(page_name(kind), slug_of(actor))
    batch = batch_of(actor, runs[0]) if runs else []
    context = {"batch": batch, "slug": slug_of(actor), "token": id_text(new_id())}
    return render(request, "playground/media/_media_begun.html", context)


@organisation_page("playground.read")
@require_safe
def media_run(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the current state of a run; the page polls this while it is active."""
    run = access_media_run(actor, id)
    if not is_htmx(request):
        return see_other(page_name(run.kind), slug_of(actor))
    (run_display,) = describe_runs([run], button_prices(actor, run.kind))
    context = {"one": run_display, "slug": slug_of(actor), "told": not run_display.running}
    response = render(request, "playground/media/_media_run.html", context)
    if not run_display.running:
        response["HX-Trigger"] = "balance"
    return response


@organisation_page("playground.use")
@require_POST
def media_stop(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    run = access_media_run(actor, id)
    stop_media(run)
    if not is_htmx(request):
        return see_other(page_name(run.kind), slug_of(actor))
    (run_display,) = describe_runs([access_media_run(actor, id)])
    context = {"one": run_display, "slug": slug_of(actor)}
    return render(request, "playground/media/_media_run.html", context)


@organisation_page("playground.use")
@require_POST
def media_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Remove a run with its files. A running one is stopped first."""
    run = access_media_run(actor, id)
    (run_display,) = describe_runs([run])
    if run_display.running:
        raise Http404
    delete_media([run])
    if not is_htmx(request):
        return see_other("gallery", slug_of(actor))
    return HttpResponse()


@organisation_page("playground.read")
@require_safe
def media_code(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the request as code."""
    run = access_media_run(actor, id)
    input_names = {one.role: one.name for one in run.files.all() if one.role != RESULT}
    urls = {role: f"https://example.com/{name}" for role, name in input_names.items()}
    if run.kind in MEDIA_SERVICES:
        urls = dict.fromkeys(input_names, "data:image/png;base64,…")
    in_body, files = pictures_in(run.operation, urls), {}
    body = {**run.body, **in_body}
    if input_names and not in_body:
        names = {"picture": "image", "mask": "mask", "sound": "file"}
        files = {names[role]: name for role, name in input_names.items()}
    call = SnippetRequest(run.operation, PAGE_PATHS[run.operation], body, files=files)
    context = {"codes": codes_with_key(call, ""), "id": run.text_id, "slug": slug_of(actor)}
    return render(request, "playground/media/_media_code.html", context)


@organisation_page("playground.read")
@require_safe
def media_subtitles(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Return the segments of a transcript in SubRip format."""
    segments = access_media_run(actor, id).facts.get("segments")
    if not segments:
        raise Http404
    response = HttpResponse(subtitles(segments), content_type="application/x-subrip")
    response["Content-Disposition"] = 'attachment; filename="transcript.srt"'
    return response


@organisation_page("playground.read")
@require_safe
async def media_video(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Stream a video, or the range that a player asks for, from its provider."""
    return await _pass_file(request, actor, id, MediaKind.VIDEO)


@organisation_page("playground.read")
@require_safe
async def media_clip(request: HttpRequest, actor: Actor, id: str, number: int) -> HttpResponseBase:
    """Stream a file of a task service, or the range that a player asks for, from its provider."""
    return await _pass_file(request, actor, id, None, number)


async def _pass_file(
    request: HttpRequest, actor: Actor, id: str, kind: str | None, number: int = 0
) -> HttpResponseBase:
    run = await run_in_database(access_media_run, actor, id)
    service = MEDIA_SERVICES.get(run.kind)
    played = _VIDEO if service is None else service.plays
    if not run.task or (service is None) == (kind is None) or played is None:
        raise Http404
    try:
        payer = await run_in_database(stored_media_payer, run)
        relay = relay_of(request)
        principal = await payer.principal(actor, relay)
        wanted = request.headers.get("range", "").encode("latin-1", "ignore")
        if service is not None:
            content = await relay.service_file(
                service.service, principal, run.task, number, range_=wanted
            )
        else:
            content = await relay.video_content(principal, run.task, range_=wanted)
    except RequestFault as fault:
        raise Http404 from fault
    except (UpstreamFailed, DatabaseAway, DatabaseRefused):
        return HttpResponse(gettext("The provider does not give the file now."), status=502)
    response = StreamingHttpResponse(_stream_pieces(content.pieces()), status=content.status)
    for name, value in content.headers.items():
        response[name] = value
    how = "attachment" if "download" in request.GET else "inline"
    if service is not None:
        response["Content-Type"] = played.media_type
    response["Content-Disposition"] = f'{how}; filename="{played.name}"'
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response


async def _stream_pieces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # An interrupted stream ends here: the server closes the connection, and the player reports it.
    async for piece in pieces:
        yield piece


@organisation_page("playground.read")
@require_safe
def gallery(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the actor's results of all kinds."""
    words, kind = request.GET.get("q", ""), request.GET.get("kind", "")
    runs = search_media(actor, words.replace("\x00", ""), kind)
    if before := parse_id(request.GET.get("before", "")):
        runs = runs.filter(id__lt=before)
    runs_shown = describe_runs(runs[: GALLERY_MAX + 1], button_prices(actor, *MEDIA_SERVICES))
    context = {
        "slug": slug_of(actor),
        "shown": runs_shown[:GALLERY_MAX],
        "more": runs_shown[GALLERY_MAX - 1].id if len(runs_shown) > GALLERY_MAX else "",
        "q": words,
        "kind": kind if kind in PAGES else "",
        "kinds": [(value, str(word)) for value, word in PAGES.items()],
        **tabs_context(actor, "gallery"),
    }
    return render_part(
        request, "playground/media/gallery.html", "playground/media/_gallery.html", context
    )


def _kind(request: HttpRequest) -> str:
    kind = str(request.POST.get("kind", ""))
    if kind not in PAGES:
        raise Http404
    return kind


def _page(
    request: HttpRequest,
    actor: Actor,
    kind: str,
    values: Mapping[str, str],
    more: Mapping[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    context = form_context(actor, kind, values)
    context |= tabs_context(actor, page_name(kind))
    context |= {"batches": recent_batches(actor, kind), **(more or {})}
    return render(request, "playground/media/media.html", context, status=status)
