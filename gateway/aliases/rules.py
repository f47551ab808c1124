"""Aliases: public names that stand for other names."""

from collections.abc import Mapping


def find_cycle(aliases: Mapping[str, str]) -> list[str] | None:
    """Return the first cycle, by name, with its first name repeated at the end, or None if every
    alias ends."""
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
    """Return the final target of each alias, over any number of steps. An alias in a cycle is its
    own target."""
    return {name: _end_of(name, aliases) for name in aliases}


def _end_of(name: str, aliases: Mapping[str, str]) -> str:
    end, steps = name, 0
    while end in aliases and steps <= len(aliases):
        end, steps = aliases[end], steps + 1
    return name if end in aliases else end
