"""Where providers tell that something has happened to a task: the token in the address stands for
who they are, and all that follows is that they are asked."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.access.guards import public
from gateway.media_tasks import media_tasks


@public
@csrf_exempt
@require_POST
def task_callback(request: HttpRequest, task: str, token: str) -> HttpResponse:
    # What it says is not read: whoever is told of a result asks for it.
    if "\0" in task or not media_tasks.ring(task, token):
        raise Http404
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
