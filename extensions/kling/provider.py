"""Kling: videos. Its key is an access key and a secret key (`access|secret`), from which a token is
created for each request; proxies take a single key.

In mainland China: https://api-beijing.klingai.com (its "General Information", 2026-03).
"""

from extensions.kling.dialect import FAMILY
from extensions.kling.form import FORM
from gateway.providers.provider import Provider, Spoken
from gateway.providers.signing import TokenSigner
from gateway.providers.task_service import TaskService

PROVIDER = Provider(
    name="kling",
    label="Kling",
    base_url="https://api-singapore.klingai.com",
    needs_secret=True,
    dialects={"openai": Spoken(paths={"kling_videos": "/v1/videos"})},
    default_path="",
    signer=TokenSigner,
)
SERVICE = TaskService(
    provider=PROVIDER,
    form=FORM,
    family=FAMILY,
    begins="/kling",
    paths="/kling(?:/.*)?",
    operations=("kling_text2video", "kling_image2video"),
    example_model="kling-v2-6",
)
