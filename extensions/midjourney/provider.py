"""midjourney-proxy and compatible servers. They use accounts of Midjourney, which itself sells no
API. Another hub of this family is reached in the same way.

Paths and codes: the API of novicezk/midjourney-proxy at d13e6245 (read in 2026-11); actions,
dialogs and seeds: the published description of midjourney-proxy-plus (read in 2026-11). Neither
states how often it may be polled; a picture takes about a minute.

Quirks: a key is sent as `mj-api-secret`, and is optional. A refusal is a 200 with a code. Requests
about a task must go to the server that has it, with the same key.
"""

from dataclasses import replace
from typing import Final

from extensions.midjourney import dialect
from gateway.providers.capabilities import IMAGE_MODEL, Product
from gateway.providers.provider import Auth, Provider, Spoken
from gateway.providers.task_form import TaskForm
from gateway.providers.task_service import ExampleCall, TaskService
from gateway.providers.task_terms import PollRule, charged_call

PROVIDER: Final = Provider(
    name="midjourney_proxy",
    label="Midjourney Proxy",
    base_url="http://127.0.0.1:8080",
    needs_secret=False,
    dialects={"openai": Spoken(paths={"midjourney": "/mj"}, auth=Auth("mj-api-secret"))},
    default_path="",
)
FORM: Final = TaskForm(
    operation="midjourney",
    poll=PollRule(min_s=5, max_s=30),
    charged=charged_call,
    read_status=dialect.read_status,
    status_path="/task/{id}/fetch",
    write=dialect.write,
)
# Each action has a name of its own.
_MODEL: Final = replace(IMAGE_MODEL, owner="midjourney", endpoint="midjourney")
_WRITES: Final = replace(_MODEL, outputs=frozenset({"text"}))
SERVICE: Final = TaskService(
    provider=PROVIDER,
    form=FORM,
    family=dialect.FAMILY,
    begins="/mj",
    paths=r"/(?:mj-(?:fast|relax|turbo)/)?mj(?:/.*)?",
    key_header="mj-api-secret",
    operations=(
        "midjourney_imagine", "midjourney_change", "midjourney_simple_change",
        "midjourney_describe", "midjourney_blend", "midjourney_action", "midjourney_modal",
        "midjourney_shorten",
    ),
    product=Product(
        "serves Midjourney's actions", "this action", "/mj/submit/imagine", (("requests",),)
    ),
    products="Midjourney tasks",
    kind="midjourney",
    example=lambda model: ExampleCall(
        "midjourney_imagine", "/mj/submit/imagine", {"prompt": "A paper boat on a river"}
    ),
    models={"mj_*": _MODEL, "mj_describe": _WRITES, "mj_shorten": _WRITES},
    owners={"midjourney": "Midjourney"},
    file_path="/mj/image/{id}",
)  # fmt: skip
