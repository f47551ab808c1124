"""Which counts of tokens are impossible (F27)."""

# Twice the longest context of any model (as of 2026-11): a higher count is false.
COUNT_MAX = 20_000_000

# Flags of impossible counts. Such a row is not priced by the upstream's count.
QUARANTINE_FLAGS = frozenset(
    {
        "usage_unreadable",
        "usage_not_integer",
        "usage_negative",
        "usage_huge",
        "usage_cached_above_input",
        "usage_parts_above_total",
    }
)
