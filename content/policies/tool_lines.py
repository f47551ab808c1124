"""Rules of tools as people write them, one per line.

refuse shell /command \\brm\\b && /cwd ^/etc
ask    send_*
refuse *
"""

from typing import Any

_AND = " && "


def read_tool_line(line: str) -> dict[str, Any]:
    """Return the rule of a line, as the settings of the guard have it; not yet checked."""
    decision, name, conditions = [*line.split(maxsplit=2), "", "", ""][:3]
    rule: dict[str, Any] = {"name": name, "decision": decision}
    if conditions:
        pairs = [one.strip().partition(" ") for one in conditions.split(_AND)]
        rule["arguments"] = [
            {"pointer": pointer, "pattern": pattern.strip()} for pointer, _, pattern in pairs
        ]
    return rule


def write_tool_line(rule: dict[str, Any]) -> str:
    """Return the line of a rule."""
    conditions = _AND.join(
        f"{one['pointer']} {one['pattern']}" for one in rule.get("arguments", ())
    )
    return f"{rule['decision']} {rule['name']} {conditions}".rstrip()
