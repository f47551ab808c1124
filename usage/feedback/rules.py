"""What feedback may contain."""

from typing import Final, NamedTuple

from accounts.names.labels import LABEL_LENGTH, is_label

SCORE_MAX: Final = 100
"""The best score; the worst is 0."""
GOOD_FROM: Final = 50
"""The lowest score that counts as good."""
COMMENT_MAX: Final = 4_000
"""The maximum number of characters of a comment."""
_BREAKS: Final = "\n\r\t"
# They reverse the text that surrounds a comment.
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Opinion(NamedTuple):
    """What an author says: a score from 0 to 100, a label and a comment; None and "" are none."""

    score: int | None = None
    label: str = ""
    comment: str = ""


class Problem(NamedTuple):
    """What is wrong with a member of an opinion."""

    member: str
    text: str


def problem_of(opinion: Opinion) -> Problem | None:
    """Return the first problem of an opinion, None if it is valid."""
    score, label, comment = opinion
    if score is None and not label and not comment:
        return Problem("score", "at least one of score, label and comment is required")
    if score is not None and not 0 <= score <= SCORE_MAX:
        return Problem("score", f"score must be from 0 to {SCORE_MAX}")
    if label and not is_label(label):
        what = f"label must have 1 to {LABEL_LENGTH} visible characters and no space at an end"
        return Problem("label", what)
    if len(comment) > COMMENT_MAX:
        return Problem("comment", f"comment must have at most {COMMENT_MAX} characters")
    if any(map(_is_hidden, comment)):
        return Problem("comment", "comment must not have control characters or direction marks")
    return None


def _is_hidden(character: str) -> bool:
    """Return whether a character controls how others appear. Emoji need joiners, which stay."""
    if character in _DIRECTIONS or "\ud800" <= character <= "\udfff":
        return True
    is_control = character < " " or "\x7f" <= character < "\xa0"
    return is_control and character not in _BREAKS
