"""The ASCII form of characters that are read as ASCII: wide ones, digits of other scripts, spaces
and hyphens of typography. Each stands for one character, so that positions stay as they are.
"""

import re
import unicodedata
from typing import Final

import re2

_SPACES: Final = (
    "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
)
_HYPHENS: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
# Unicode keeps the planes above for ideographs, and looking at all of them would take a tenth of
# what each command takes to start.
_SCRIPTS_END: Final = 0x20000
_FORMS: Final = {
    **{
        number: str(unicodedata.decimal(chr(number)))
        for number in range(128, _SCRIPTS_END)
        if unicodedata.category(chr(number)) == "Nd"
    },
    **{number: chr(number - 0xFEE0) for number in range(0xFF01, 0xFF5F)},
    **{ord(one): " " for one in _SPACES},
    **{ord(one): "-" for one in _HYPHENS},
    0xFE6B: "@",
}
_RARE: Final = re2.compile(f"[{''.join(chr(one) for one in _FORMS if one > 0xFFFF)}]")
_OTHERS: Final = re.compile(f"[{''.join(chr(one) for one in _FORMS if one <= 0xFFFF)}]")


def folded(text: str) -> str:
    """Return a text of the same length in which these characters are ASCII."""
    if text.isascii():
        return text
    try:
        rare = _RARE.search(text.encode()) is not None
    except UnicodeEncodeError:
        # A half of a surrogate pair, which RE2 cannot read.
        rare = True
    # The translation looks at every character, the expression at those that it changes.
    return text.translate(_FORMS) if rare else _OTHERS.sub(_form, text)


def _form(one: re.Match[str]) -> str:
    return _FORMS[ord(one[0])]
