"""Options of New API and One API that apply to every request: rate limits and forbidden words."""

from collections.abc import Callable, Mapping
from typing import Final

from extensions.import_hubs import values
from extensions.import_hubs.converted import Counts
from extensions.import_hubs.values import ValueUnreadable

_RATE: Final = "ModelRequestRateLimit"
_WORDS: Final = "SensitiveWords"
# The program's own list, if none was saved.
_NO_WORDS: Final = frozenset({"", "test_sensitive"})
NAMES: Final = (
    *(
        f"{_RATE}{part}"
        for part in ("Enabled", "Count", "SuccessCount", "DurationMinutes", "Group")
    ),
    *(_WORDS, "CheckSensitiveEnabled", "CheckSensitiveOnPromptEnabled"),
)
RateOf = Callable[[str], Counts]


def rates_by_group(options: Mapping[str, object]) -> tuple[RateOf, tuple[str, ...]]:
    """Return the requests per minute for users of a group, and the options that cannot be
    represented here: a limit of less than one per minute. Raises ValueUnreadable."""
    if not _is_on(options, f"{_RATE}Enabled", default=False):
        return lambda group: Counts(), ()
    minutes = _number(options, f"{_RATE}DurationMinutes", 1) or 1
    common = _number(options, f"{_RATE}Count", 0), _number(options, f"{_RATE}SuccessCount", 1000)
    by_group = {group: _pair(pair) for group, pair in _mapping(options, f"{_RATE}Group").items()}
    closed = any(0 < limit < minutes for pair in (common, *by_group.values()) for limit in pair)

    def rate_of(group: str) -> Counts:
        limits = [limit // minutes for limit in by_group.get(group, common) if limit > 0]
        return Counts(rpm=min(limits, default=None) or None)

    return rate_of, (f"options.{_RATE}DurationMinutes",) if closed else ()


def forbidden_words(options: Mapping[str, object]) -> tuple[str, ...]:
    """Return the forbidden words. If there are any, every object is imported locked."""
    written = values.text(options.get(_WORDS)).strip()
    on = _is_on(options, "CheckSensitiveEnabled", default=True)
    on = on and _is_on(options, "CheckSensitiveOnPromptEnabled", default=True)
    return (f"options.{_WORDS}",) if on and written not in _NO_WORDS else ()


def _is_on(options: Mapping[str, object], name: str, *, default: bool) -> bool:
    if name not in options:
        return default
    try:
        return values.boolean(options[name])
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option {name}: {error}") from error


def _number(options: Mapping[str, object], name: str, default: int) -> int:
    try:
        return values.integer(options[name]) if name in options else default
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option {name}: {error}") from error


def _mapping(options: Mapping[str, object], name: str) -> Mapping[str, object]:
    try:
        return values.mapping(options.get(name))
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option {name}: {error}") from error


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        return values.integer(value[0]), values.integer(value[1])
    raise ValueUnreadable(f"the option {_RATE}Group: expected two numbers for each group")
