"""The test of all channels: its start, and its page with progress and results (W71)."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from gateway.access import access_test_run
from gateway.channels.channel_tests.scheduled_tests import start_run
from gateway.channels.channel_tests.words import VARIANT_NAMES, words_of
from gateway.models import ChannelTestRun
from lib.htmx import render_part, see_other
from lib.ids import id_text


@operator_page("channels.test")
@require_POST
def test_all(request: HttpRequest, actor: Actor) -> HttpResponse:
    return see_other("channel_test_run", id_text(start_run(actor, "streamed").id))


@operator_page("channels.read")
@require_safe
def test_run(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    run = access_test_run(actor, id)
    costs = [row["cost_nano"] for row in run.results if row["cost_nano"] is not None]
    context = {
        "id": id,
        "run": run,
        "variant": dict(VARIANT_NAMES)[run.variant],  # type: ignore[index]
        "done": len(run.results),
        "failed": sum(not row["ok"] for row in run.results),
        "cost_nano": sum(costs) if costs else None,
        "rows": _result_rows(run),
    }
    return render_part(
        request,
        "gateway/channels/channel_tests/channel_tests.html",
        "gateway/channels/channel_tests/_channel_tests.html",
        context,
    )


def _result_rows(run: ChannelTestRun) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "id": id_text(UUID(row["channel_id"])),
            "cause": _cause(row["fault"]),
        }
        for row in run.results
    ]


def _cause(fault: str | None) -> str:
    if fault == "no_model":
        return gettext("It serves no model that can be tested.")
    return str(words_of(fault)[0] or "")  # type: ignore[arg-type]
