"""What a tenant may do with the rows of a model that no organisation owns."""

from typing import Literal, NamedTuple


class UnownedRows(NamedTuple):
    """What a tenant may do with these rows, and why: `shared` rows it may read and write, others it
    may only read, `closed` ones it does not see. A model says so in its attribute
    `unowned_rows`."""

    use: Literal["shared", "read_only", "closed"]
    why: str
