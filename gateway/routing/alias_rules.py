"""Public names of models that stand for others."""

from collections.abc import Mapping


def find_cycle(aliases: Mapping[str, str]) -> list[str] | None:
    """The first way, by name, that leads back to its beginning, with that name at both ends; None
    where every alias comes to an end."""
    ended: set[str] = set()
    for name in sorted(aliases):
        way: dict[str, None] = {}
        while name in aliases and name not in ended:
            if name in way:
                names = list(way)
                return [*names[names.index(name) :], name]
            way[name] = None
            name = aliases[name]
        ended |= way.keys()
    return None


def resolve_aliases(aliases: Mapping[str, str]) -> dict[str, str]:
    """Where each alias ends, in however many steps. One that comes to no end stands for itself."""
    return {name: _end_of(name, aliases) for name in aliases}


def _end_of(name: str, aliases: Mapping[str, str]) -> str:
    end, steps = name, 0
    while end in aliases and steps <= len(aliases):
        end, steps = aliases[end], steps + 1
    return name if end in aliases else end
