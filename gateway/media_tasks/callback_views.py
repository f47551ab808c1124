"""Callbacks of providers for tasks. The token in the address identifies the task. A callback only
causes a poll of the provider."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.guards.guards import public
from gateway.media_tasks import media_tasks


@public
@csrf_exempt
@require_POST
def task_callback(request: HttpRequest, task: str, token: str) -> HttpResponse:
    # The body is ignored; the poll reads the result.
    if "\0" in task or not media_tasks.record_callback(task, token):
        raise Http404
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
