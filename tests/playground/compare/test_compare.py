"""Answers word by word, and who won how often."""

from playground.compare.rules import DiffPart, lowest, rank_models, word_difference


def test_differing_words() -> None:
    assert word_difference("the old river", "the new river bed") == [
        DiffPart("same", "the "),
        DiffPart("first", "old"),
        DiffPart("second", "new"),
        DiffPart("same", " river"),
        DiffPart("second", " bed"),
    ]
    for first, second in (("", ""), ("a b", ""), ("a  b\n", "b a")):
        pieces = word_difference(first, second)
        assert "".join(piece.text for piece in pieces if piece.kind != "second") == first
        assert "".join(piece.text for piece in pieces if piece.kind != "first") == second


def test_rates_have_their_interval_and_the_best_stands_first() -> None:
    votes = [(("a", "b"), "a")] * 8 + [(("a", "b"), "b")] * 2 + [(("a", "c"), "")]
    a, b, c = rank_models(votes)
    assert (a.model, a.wins, a.votes, a.rate) == ("a", 8, 11, 73)
    assert a.low < a.rate < a.high
    assert (b.model, b.wins, b.votes, b.rate) == ("b", 2, 10, 20)
    assert (c.model, c.wins, c.votes) == ("c", 0, 1)
    assert rank_models([]) == []


def test_best_is_named_if_one_is_better() -> None:
    assert lowest([3, 1, None, 1]) == 1
    for figures in ([], [None, None], [2], [2, None], [2, 2, 2]):
        assert lowest(figures) is None
