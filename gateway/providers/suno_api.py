"""Suno-API and compatible servers. They use accounts of Suno, which itself sells no API. Another
hub of this family is reached in the same way.

Models and key: new-api's description of Suno-API at 60609d2e (read in 2026-11). It does not state
how often it may be polled; a song takes one to three minutes.

Quirks: a key is optional. A refusal is a 200 with a code other than `success`. A song can only
continue a clip of the same account.
"""

from typing import Final

from dialects.media import suno
from gateway.providers.provider import Provider, Spoken
from gateway.providers.task_form import TaskForm
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
