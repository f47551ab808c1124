"""Jimeng at Volcengine: videos. Its key is an access key and a secret key (`access|secret`), with
which every request is signed; proxies take a single key."""

from extensions.jimeng.dialect import FAMILY, RESULT, SUBMIT, VERSION
from extensions.jimeng.form import FORM
from gateway.providers.provider import Provider, Spoken
from gateway.providers.signing import VolcengineSigner
from gateway.providers.task_service import TaskService

PROVIDER = Provider(
    name="jimeng",
    label="Volcengine (Jimeng)",
    base_url="https://visual.volcengineapi.com",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "jimeng_videos": f"/?Action={SUBMIT}&Version={VERSION}",
                "video_tasks": f"/?Action={RESULT}&Version={VERSION}",
            }
        )
    },
    default_path="",
    signer=VolcengineSigner,
)
SERVICE = TaskService(
    provider=PROVIDER,
    form=FORM,
    family=FAMILY,
    begins="/jimeng",
    paths="/jimeng(?:/.*)?",
    operations=("jimeng_videos",),
    example_model="jimeng_t2v_v30",
)
