"""Volcengine Ark (Doubao). A model may also be named by an inference endpoint's id, ep-…"""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="doubao",
    label="Volcengine Ark (Doubao)",
    base_url="https://ark.cn-beijing.volces.com/api/v3",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            # Volcengine Ark, "Image generation API" for Seedream (2026-11). It also edits images.
            paths={
                "chat_completions": "/chat/completions",
                "embeddings": "/embeddings",
                "ark_images": "/images/generations",
                # "Create a video generation task" for Seedance (2026-06).
                "ark_videos": "/contents/generations/tasks",
            }
        )
    },
    unknown_like="doubao-",
)
