"""The tabs of the media pages. Kinds without any model have no tab; their names are listed beside
the tabs."""

from typing import Any, Final, NamedTuple

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.access.actors import Actor, slug_of
from playground.media.task_services import MEDIA_SERVICES
from playground.media.words import PAGES
from playground.models import MediaKind
from playground.models_offered.offered_models import offered_kinds


class Tab(NamedTuple):
    """A page and the kind of models that it needs; "" for none."""

    page: str
    name: str | Promise
    icon: str
    kind: str


_TABS: Final = (
    Tab("images", PAGES[MediaKind.IMAGE], "image", MediaKind.IMAGE),
    Tab("speech", PAGES[MediaKind.SPEECH], "message-square", MediaKind.SPEECH),
    Tab("transcription", PAGES[MediaKind.TRANSCRIPTION], "mic", MediaKind.TRANSCRIPTION),
    Tab("video", PAGES[MediaKind.VIDEO], "play", MediaKind.VIDEO),
    *(
        Tab(one.page, one.title, one.icon, one.kind)
        for one in sorted(MEDIA_SERVICES.values(), key=lambda one: (one.place, one.page))
    ),
    Tab("realtime", _("Realtime"), "zap", "realtime"),
    Tab("gallery", _("Gallery"), "folder", ""),
)


def tabs_context(actor: Actor, page: str) -> dict[str, Any]:
    """Build the context of the tabs on this page."""
    offered = offered_kinds(actor) | {""}
    return {
        "page_name": page,
        "tabs": [
            (tab, reverse(tab.page, args=[slug_of(actor)]))
            for tab in _TABS
            if tab.kind in offered or tab.page == page
        ],
        "without_models": [
            str(tab.name) for tab in _TABS if tab.kind not in offered and tab.page != page
        ],
        "no_models": offered == {""},
    }
