"""A quantile of a histogram: a straight line between two of its bounds."""

from collections.abc import Sequence


def quantile_of(counts: Sequence[int], bounds: Sequence[int], per_cent: int) -> int | None:
    """Return the value that this percentage of the observations does not exceed, or None without
    any. `counts` are the cumulative counts for each bound."""
    if not counts or not counts[-1]:
        return None
    rank, below, low = counts[-1] * per_cent / 100, 0, 0
    for count, bound in zip(counts, bounds, strict=True):
        if count >= rank and count > below:
            return round(low + (bound - low) * (rank - below) / (count - below))
        below, low = count, bound
    return None
