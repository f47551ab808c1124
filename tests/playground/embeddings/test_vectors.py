"""Cosines: of what is the same, what is opposite, and what has no direction."""

import math

import pytest

from playground.embeddings.vectors import cosines, length_of


def test_length_is_the_euclidean_one() -> None:
    assert length_of([3.0, 4.0]) == 5.0
    assert length_of([0.6, 0.8]) == pytest.approx(1.0)


def test_each_pair_is_compared() -> None:
    table = cosines([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0], [-1.0, 0.0], [1.0, 1.0]])
    assert table[0][:4] == [1.0, 1.0, 0.0, -1.0]
    assert table[0][4] == pytest.approx(math.sqrt(0.5))
    assert [row[n] for n, row in enumerate(table)] == pytest.approx([1.0] * 5)
    assert all(table[a][b] == table[b][a] for a in range(5) for b in range(5))


def test_zero_or_incompatible_vectors_are_not_compared() -> None:
    assert cosines([[0.0, 0.0], [1.0, 0.0], [1.0]]) == [
        [None, None, None],
        [None, 1.0, None],
        [None, None, 1.0],
    ]
