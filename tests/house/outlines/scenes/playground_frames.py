"""Parts of the playground that are sent beside a page, as it waits for an answer or for what a
message costs. Coroutines answer with them, so they are rendered here as those do it."""

from collections.abc import Mapping
from typing import Any, Final

from django.template.loader import render_to_string

from playground.answers.events import PartialAnswer
from playground.compare_page import compare
from playground.messages import page
from playground.models import Run, RunState
from playground.sending.panel_views import BoundLine, ContextUsage
from playground.turns.context_window import Context
from relay.hold_sizes.bound import Bound
from tests.house.outlines.scenes.scene import Scene
from tests.house.outlines.scenes.talk import Talk, charged, place_of
from tests.isolation.world import World

_SLUG: Final = "acme"


def _rendered(template: str, *contexts: Mapping[str, Any]) -> Any:
    """The part in each of these states."""

    def make(world: World) -> str:
        whole: Mapping[str, Any] = {"slug": world.acme.slug}
        parts = [render_to_string(f"playground/{template}", {**whole, **one}) for one in contexts]
        return "".join(f"<section>{part}</section>" for part in parts)

    return make


def _line(**over: Any) -> dict[str, Any]:
    """What a message costs; these fields of `BoundLine` and of its context are other ones."""
    usage = ContextUsage(
        over.pop("model", "river-2"), over.pop("context", Context(11, 0, 13, 17)),
        over.pop("context_max", 4_001),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "hold_nano": 23_000_000, "expected_nano": 19_000_000, "available_nano": 7_019_000_000,
        "by_budget": False, "input_tokens": 1_301, "output_tokens": 2_003, "usage": usage,
        "price_version_id": 29, "fits": True, "output_cap": None,
    }  # fmt: skip
    return {"bound": BoundLine(**fields | over)}


_MANY: Final = Context(101, 5_003, 103, 107)
_OWNER: Final = {"balance_shown": True, "may_ask": False}
_DEVELOPER: Final = {"balance_shown": False, "may_ask": True}
_COSTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"blocked": "Choose a model."},
    {"away": True},
    _line(price_version_id=None),
    _line() | _OWNER,
    _line(by_budget=True, available_nano=3_019_000_000) | _DEVELOPER,
    _line(expected_nano=None, context_max=None, output_cap=2_003) | _DEVELOPER,
    _line(fits=False, available_nano=5_000_000) | _OWNER,
    _line(fits=False, available_nano=5_000_000) | _DEVELOPER,
    _line(fits=False, available_nano=5_000_000, by_budget=True) | _DEVELOPER,
    _line(fits=False, available_nano=0, by_budget=True) | _DEVELOPER,
    _line(context=_MANY) | _OWNER | {"summary_nano": 31_000_000},
    _line(context=_MANY) | _OWNER,
    _line(context=Context(5_009, 0, 0, 1)) | _OWNER,
    *(
        _line(context=Context(1, 2, 3, 4, n, m)) | _OWNER
        for n, m in ((1, 0), (5, 0), (0, 1), (0, 7))
    ),
)
_PRICED: Final = Bound(23_000_000, None, 11, 13, 29, 7_000_000_000, True, 19_000_000)
_FREE: Final = _PRICED._replace(price_version_id=None)
_TOO_DEAR: Final = _PRICED._replace(fits=False)
_UNEXPECTED: Final = _PRICED._replace(expected_nano=None, hold_nano=37_000_000)
_BOUNDS: Final = tuple({"bound": one} for one in (_PRICED, _FREE, _TOO_DEAR, _UNEXPECTED))


# An answer ------------------------------------------------------------------------------------


def _run(world: World, state: RunState = RunState.DONE, **chat: Any) -> Run:
    talk = Talk(place_of(world), "A chat", **chat)
    talk.ask("How deep?")
    run = talk.answer("", {"outcome": {}}, state=state).run
    assert run is not None
    return run


_COLUMNS: Final = [{"model": "m-1", "settings": {}, "preset": ""}] * 2


def _ends(world: World) -> str:
    """The last frame of answers that ended in each way."""
    outcome = charged(41_000_000, ttft_ms=410, total_ms=5_410, thought_ms=2_900)["outcome"]
    frames = [
        page.ended_html(
            _run(world), RunState.DONE, outcome, PartialAnswer(7, "It is deep", "I look."),
            {}, ["Deeper"],
        ),
        page.ended_html(
            _run(world), RunState.STOPPED, outcome, PartialAnswer(7, "It", ""), {}
        ),
        page.ended_html(
            _run(world, columns=_COLUMNS), RunState.FAILED,
            {"kind": "timeout", "charge_nano": 0}, PartialAnswer(7, "", ""), {},
        ),
    ]  # fmt: skip
    return "".join(frames)


def _replaces(world: World) -> str:
    """Whole answers, for pages that saw too little of them."""
    runs = (
        _run(world, RunState.STOPPED),
        _run(world, columns=_COLUMNS),
    )
    return "".join(
        page.replaced_html(run.assistant_message, _SLUG, run.conversation) for run in runs
    )


def _slow(world: World) -> str:
    lines = [page.slow_html(_run(world), 11), page.slow_html(_run(world), 23)]
    return "".join((*lines, page.slow_html(_run(world, columns=_COLUMNS), 29)))


def _columns_end(world: World) -> str:
    return compare.ended_html([_run(world, columns=_COLUMNS)], _SLUG)


SCENES: Final = (
    Scene("cost of a message", _rendered("panel/_turn_cost.html", *_COSTS)),
    Scene(
        "cost of a result",
        _rendered(
            "media/_media_cost.html",
            {"blocked": "Choose a model."},
            {"away": True},
            {"compares": True, "bounds": [("painter-1", _PRICED), ("painter-2", _UNEXPECTED)]},
            {"bounds": [("painter-1", _FREE)]},
            {"bounds": [("painter-1", _TOO_DEAR)]},
        ),
    ),
    Scene(
        "cost of vectors",
        _rendered(
            "embeddings/_embedding_cost.html",
            {"blocked": "Choose a model."},
            {"away": True},
            {},
            *_BOUNDS,
        ),
    ),
    Scene(
        "cost of a connection",
        _rendered(
            "media/_realtime_cost.html", {"blocked": "Choose a model."}, {"away": True}, *_BOUNDS
        ),
    ),
    Scene(
        "cost of a name",
        _rendered(
            "preferences/_title_cost.html",
            {"title_refused": "No price."},
            {"title_nano": None},
            {"title_nano": 43_000_000},
        ),
    ),
    Scene("frames of answers that end", _ends),
    Scene("frame of columns that end", _columns_end),
    Scene("frames that replace an answer", _replaces),
    Scene("frames of models that are slow", _slow),
    Scene("frame of access that ended", lambda world: page.access_ended_html([_run(world)])),
)
