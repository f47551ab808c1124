"""Suno-API and compatible servers. They use accounts of Suno, which itself sells no API. Another
hub of this family is reached in the same way.

Models and key: new-api's description of Suno-API at 60609d2e (read in 2026-11). It does not state
how often it may be polled; a song takes one to three minutes.

Quirks: a key is optional. A refusal is a 200 with a code other than `success`. A song can only
continue a clip of the same account.
"""

from dataclasses import replace
from typing import Final

from extensions.suno import dialect as suno
from gateway.providers.capabilities import IMAGE_MODEL, Product
from gateway.providers.provider import Provider, Spoken
from gateway.providers.task_form import TaskForm
from gateway.providers.task_service import ExampleCall, TaskService
from gateway.providers.task_terms import PollRule, charged_call

PROVIDER: Final = Provider(
    name="suno_api",
    label="Suno API",
    base_url="http://127.0.0.1:8000",
    needs_secret=False,
    dialects={"openai": Spoken(paths={"suno": "/suno"})},
    default_path="",
)
FORM: Final = TaskForm(
    operation="suno",
    poll=PollRule(min_s=10, max_s=60),
    charged=charged_call,
    read_status=suno.read_status,
    status_path="/fetch/{id}",
    write=suno.write,
)
_MODEL: Final = replace(
    IMAGE_MODEL,
    owner="suno",
    inputs=frozenset({"text"}),
    outputs=frozenset({"audio"}),
    endpoint="suno",
)


def _example(model: str) -> ExampleCall:
    action = "lyrics" if model == "suno_lyrics" else "music"
    prompt = {"prompt": "Rivers meander because bends grow."}
    return ExampleCall(f"suno_{action}", f"/suno/submit/{action}", prompt)


SERVICE: Final = TaskService(
    provider=PROVIDER,
    form=FORM,
    family=suno.FAMILY,
    begins="/suno",
    paths="/suno(?:/.*)?",
    operations=("suno_music", "suno_lyrics"),
    product=Product("generates songs", "songs", "/suno/submit/music", (("requests",),)),
    products="songs",
    kind="music",
    example=_example,
    models={"suno_music": _MODEL, "suno_lyrics": replace(_MODEL, outputs=frozenset({"text"}))},
    owners={"suno": "Suno"},
    file_path="/suno/file/{id}",
)
