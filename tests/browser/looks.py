"""In which language, theme and window a page is looked at."""

from dataclasses import astuple, dataclass
from itertools import cycle, product
from typing import Any, Final, Literal

from playwright.sync_api import ViewportSize

Language = Literal["en", "zh-hans"]
Theme = Literal["light", "dark"]
Window = Literal["desk", "telephone"]

DESK: Final[ViewportSize] = {"width": 1440, "height": 900}
TELEPHONE: Final[ViewportSize] = {"width": 360, "height": 740}
# A usual phone; the one above is the narrowest.
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}


@dataclass(frozen=True)
class Look:
    language: Language
    theme: Theme
    window: Window

    @property
    def id(self) -> str:
        return "-".join(astuple(self))

    @property
    def options(self) -> dict[str, Any]:
        """Those of a browser context, the language apart."""
        held = {"viewport": TELEPHONE, "is_mobile": True, "has_touch": True}
        return {
            "color_scheme": self.theme,
            **(held if self.window == "telephone" else {"viewport": DESK}),
        }


_VALUES: Final = (("en", "zh-hans"), ("light", "dark"), ("desk", "telephone"))
ALL: Final = tuple(Look(*values) for values in product(*_VALUES))  # type: ignore[arg-type]
# Any two values meet in one of them. The first is furthest from what pages are written in.
PAIRS: Final = (
    Look("zh-hans", "dark", "telephone"),
    Look("en", "light", "telephone"),
    Look("zh-hans", "light", "desk"),
    Look("en", "dark", "desk"),
)
# A page of each kind of page: what is drawn alike is looked at once in a run of the suite, and
# each page by itself in the slow lane.
_KINDS: Final = (
    # statistics, charts, what comes behind the page
    "home", "billing",
    # lists: with bars, with ticks, short ones
    "requests", "keys", "price book",
    # one of them
    "request", "channel",
    # forms: in a dialog, in steps, in rows of label and field, of rates
    "create key", "add a channel", "settings", "new price",
    # the playground
    "conversation", "compare",
    # without a session
    "model", "a call of the API", "sign-in",
    # each part of them all
    "components", "components of the chat",
)  # fmt: skip
DRAWN: Final = dict(zip(_KINDS, cycle(PAIRS), strict=False))
