"""Compare embeddings: their lengths and their cosines."""

import math
from collections.abc import Sequence

Vector = Sequence[float]


def length_of(vector: Vector) -> float:
    """Return the Euclidean length. Most models return vectors of length 1."""
    return math.sqrt(math.fsum(value * value for value in vector))


def cosines(vectors: Sequence[Vector]) -> list[list[float | None]]:
    """Return the cosine of each pair, in [-1, 1]. It is None for a vector of length 0, or of
    another dimension."""
    lengths = [length_of(vector) for vector in vectors]
    return [
        [
            _cosine(vector, lengths[row], other, lengths[column])
            for column, other in enumerate(vectors)
        ]
        for row, vector in enumerate(vectors)
    ]


def _cosine(vector: Vector, length: float, other: Vector, other_length: float) -> float | None:
    if not length or not other_length or len(vector) != len(other):
        return None
    product = math.fsum(a * b for a, b in zip(vector, other, strict=True))
    return max(-1.0, min(1.0, product / (length * other_length)))
