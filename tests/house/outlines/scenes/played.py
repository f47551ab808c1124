"""Plays the scenes: what each page says."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from django.db import transaction

from tests.house.outlines.outline import below_the_banners, outline_of
from tests.house.outlines.scenes import (
    accounts,
    billing,
    config,
    content,
    gateway,
    gateway_models,
    gateway_prices,
    notify,
    playground,
    playground_acts,
    playground_frames,
    playground_media,
    playground_pages,
    playground_texts,
    reference,
    usage,
)
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.who import Who
from tests.isolation.world import World

_ROOMS: Final = (
    accounts, billing, config, content, gateway, gateway_models, gateway_prices, notify, playground,
    playground_acts, playground_frames, playground_media, playground_pages, playground_texts,
    reference, usage,
)  # fmt: skip


def play(world: World) -> Iterator[tuple[str, list[str]]]:
    """The file of each room, and the lines that its scenes say."""
    for room in _ROOMS:
        lines: list[str] = []
        for scene in room.SCENES:
            lines += _played(world, scene)
        if lines:
            yield f"scenes_{room.__name__.rpartition('.')[2]}.txt", lines


def _played(world: World, scene: Scene) -> list[str]:
    # What is made for a scene is gone after it.
    world = replace(world, ids=dict(world.ids), clients=dict(world.clients))
    with transaction.atomic():
        path, client = scene.make(world), world.clients[Who(scene.role)]
        if path.lstrip().startswith("<"):
            transaction.set_rollback(True)
            return [f"== {scene.title}", *outline_of(path)]
        if scene.posted is None:
            came = client.get(path, headers=dict(scene.headers))
        else:
            came = client.post(path, dict(scene.posted), headers=dict(scene.headers))
        text = came.content.decode() if not came.streaming else came.getvalue().decode()
        lines = outline_of(below_the_banners(text))
        transaction.set_rollback(True)
    return [f"== {scene.title} as {scene.role}: {came.status_code}", *lines]
