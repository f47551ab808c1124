"""In which language, theme and window a page is looked at."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from itertools import product
from typing import Any, Final, Literal

from playwright.sync_api import ViewportSize

Language = Literal["en", "zh-hans"]
Theme = Literal["light", "dark"]
Window = Literal["desk", "telephone"]

TELEPHONE: Final[ViewportSize] = {"width": 360, "height": 740}


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
            **(held if self.window == "telephone" else {}),
        }


_VALUES: Final = (("en", "zh-hans"), ("light", "dark"), ("desk", "telephone"))
ALL: Final = tuple(Look(*values) for values in product(*_VALUES))  # type: ignore[arg-type]
# Any two values meet in one of them. The first is furthest from what pages are written in.
DRAWN: Final = (
    Look("zh-hans", "dark", "telephone"),
    Look("en", "light", "telephone"),
    Look("zh-hans", "light", "desk"),
    Look("en", "dark", "desk"),
)


def draw(paths: Mapping[str, str]) -> dict[str, Look]:
    """A look for each of the named paths: in turn within a part of the site, whose pages are made
    alike."""
    seen: Counter[str] = Counter()
    looks = {}
    for name, path in paths.items():
        part = part_of(path)
        looks[name] = DRAWN[seen[part] % len(DRAWN)]
        seen[part] += 1
    return looks


def part_of(path: str) -> str:
    """`keys` of `/o/acme/keys/new?x`, `admin/prices` of `/admin/prices/3`."""
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[0] == "o":
        return parts[2] if len(parts) > 2 else "home"
    return "/".join(parts[: 2 if parts[0] == "admin" else 1])
