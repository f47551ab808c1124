"""Qwen at Alibaba Cloud (DashScope), in its compatible mode.

Outside mainland China: https://dashscope-intl.aliyuncs.com/compatible-mode/v1
"""

from collections.abc import Mapping

from dialects.chat.operation import Operation
from gateway.providers.provider import Provider, Spoken, paths_below

_COMPATIBLE = "/compatible-mode/v1"
_OWN = "/api/v1/"


def _shape(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    """Return the paths. Images and videos use its own API, a sibling of the compatible one."""
    own = {name: end for name, end in paths.items() if end.startswith(_OWN)}
    root = path.removesuffix(_COMPATIBLE)
    return {**paths_below(paths, path, query), **{name: root + end for name, end in own.items()}}


PROVIDER = Provider(
    name="qwen",
    label="Alibaba Cloud (Qwen)",
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    needs_secret=True,
    shape=_shape,
    # Paths: help.aliyun.com, "OpenAI compatible" for chat and for embeddings (2026-10),
    # "Qwen-Image" and "Qwen-Image-Edit" (2026-11), "Wan - text-to-video" (2026-06).
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "embeddings": "/embeddings",
                "models": "/models",
                "qwen_images": "/api/v1/services/aigc/multimodal-generation/generation",
                "wan_videos": "/api/v1/services/aigc/video-generation/video-synthesis",
                "video_tasks": "/api/v1/tasks",
            }
        )
    },
    # Qwen has one API for all models; `parameters` are sent at the top level.
    flags=frozenset({"params_object"}),
)
