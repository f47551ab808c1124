"""What an ephemeral token fixes in the setup of a Gemini Live session. As Google states it:

    no setup, no paths     the client's setup applies
    a setup, no paths      the token's setup applies, and the client's is ignored
    paths                  at these paths the token's members apply; a member that the token does
                           not have is removed

There are two exceptions. If the token's setup has no model, the client's is used, because every
session needs one. The handle of an earlier session comes from the client, if the setup allows
resumption.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialects.json.raw_json import as_text, object_of
from dialects.realtime.gemini_live import Setup, camel_members, setup_of

NO_SETUP: Final[dict[str, Any]] = {}
_RESUMPTION: Final = "sessionResumption"


class FixedSetup(msgspec.Struct, frozen=True):
    """The setup of a token, its members in camel case, and the paths of its locked members."""

    members: dict[str, Any]
    paths: tuple[str, ...]

    @property
    def fixes(self) -> bool:
        """Whether anything is fixed."""
        return bool(self.members or self.paths)

    def apply(self, setup: Setup) -> Setup:
        """Return the setup that applies when a client sends `setup`. Raises RequestFault."""
        if not self.fixes:
            return setup
        if self.paths:
            result = dict(setup.members)
            for path in self.paths:
                _overwrite(result, self.members, path.split("."), "setup")
        else:
            result = dict(self.members)
        result.setdefault("model", setup.members["model"])
        resumption = result.get(_RESUMPTION)
        if setup.handle is not None and isinstance(resumption, dict):
            handle = as_text(resumption.get("handle")) or setup.handle
            result[_RESUMPTION] = {**resumption, "handle": handle}
        return setup_of(result)


def _overwrite(
    target: dict[str, Any], own: Mapping[str, Any], names: Sequence[str], place: str
) -> None:
    """Set the member at a path to that of `own`, or remove it. The objects on the way are spelled
    in camel case, so that the member has no other name.
    """
    name, *rest = names
    if not rest:
        target.pop(name, None)
        if name in own:
            target[name] = own[name]
        return
    inner = camel_members(object_of(target.get(name)), f"{place}.{name}")
    fixed = camel_members(object_of(own.get(name)), f"{place}.{name}")
    _overwrite(inner, fixed, rest, f"{place}.{name}")
    target.pop(name, None)
    if inner:
        target[name] = inner
