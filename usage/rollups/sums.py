"""The sums of records besides counts and charges, as SQL over rows `r`: durations, and savings by
cached input."""

from typing import Final

from usage.records.outcomes import STREAMED_SQL, TIMED_SQL
from usage.rollups.histograms import histogram_sql

TIMES: Final = ("total_histogram", "ttft_histogram", "timed_tokens", "timed_ms")
"""The columns of durations in rows of all levels."""
# If one histogram is missing, the sum is null, because the durations of some requests are unknown.
MERGED_TIMES: Final = ", ".join(
    [
        *(
            f"CASE WHEN bool_and(r.{name} IS NOT NULL) THEN sum(r.{name}) END AS {name}"
            for name in TIMES[:2]
        ),
        *(f"sum(r.{name})::bigint AS {name}" for name in TIMES[2:]),
    ]
)
"""The merged durations of rows `r`."""
MERGED_SAVED: Final = (
    "CASE WHEN bool_and(r.saved_nano IS NOT NULL) THEN sum(r.saved_nano)::bigint END AS saved_nano"
)
"""The saving by cached input of rows `r` together; null if it is not known for all of them."""
OWN_SUM: Final = "sum(r.own_nano)::bigint AS own_nano"
"""What organisations paid providers themselves; null if no row has any."""
SHOWN_OWN: Final = "nullif(sum(r.own_nano), 0)::bigint AS own_nano"
"""The same; null also for nothing, which is all that a part of an hour or day tells: some of its
rows are subtracted."""


def written_sql(meters: str) -> str:
    """Return an expression for the streamed tokens of an answer, from a column of meters as
    JSON."""
    names = ("out_text", "out_reasoning")
    return " + ".join(f"coalesce(({meters}->>'{name}')::bigint, 0)" for name in names)


TIME_SUMS: Final = """
               coalesce(sum({total}) FILTER (WHERE {answered}), 0) AS total_histogram,
               coalesce(sum({ttft}) FILTER (WHERE {answered} AND r.ttft_ms IS NOT NULL), 0)
                   AS ttft_histogram,
               sum({tokens}) FILTER (WHERE {streamed})::bigint AS timed_tokens,
               sum(r.total_ms - r.ttft_ms) FILTER (WHERE {streamed})::bigint AS timed_ms""".format(
    total=histogram_sql("r.total_ms"),
    ttft=histogram_sql("r.ttft_ms"),
    answered=TIMED_SQL,
    streamed=STREAMED_SQL,
    tokens=written_sql("r.meters"),
)
"""The durations of records `r`."""
