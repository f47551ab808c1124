"""Match model names with patterns: for prices, budgets, routes and the models of a key."""


def matches(pattern: str, model: str) -> bool:
    """Return whether a model name fits a pattern, in which `*` stands for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == model
    *middle, last = rest
    end = len(model) - len(last)
    if not model.startswith(first) or not model.endswith(last) or len(first) > end:
        return False
    at = len(first)
    for part in middle:
        at = model.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def match_order(pattern: str) -> tuple[bool, int]:
    """Return a sort key for what matches one model: its name first, then the longest pattern."""
    return "*" in pattern, -len(pattern.replace("*", ""))
