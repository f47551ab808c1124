"""MiniMax: videos (Hailuo).

In mainland China: https://api.minimaxi.com/v1 (its OpenAPI description, 2026-06).
"""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="minimax",
    label="MiniMax",
    base_url="https://api.minimax.io/v1",
    needs_secret=True,
    dialects={"openai": Spoken(paths={"minimax_videos": "/video_generation", "video_tasks": ""})},
)
