"""Texts that end a program which takes them for something else than a text."""

from typing import Final

STORABLE: Final = (
    'say "hi"',
    "it's 'quoted' and `ticked`",
    "C:\\new\\table\\",
    "\\",
    "\\\\x41\\000\\u0000",
    "two\r\nlines\tand a tab\x0b\x1f\x7f",
    "🦊👩\u200d👩\u200d👧 e\u0301",
    "\u202eright to left\u202c שלום مرحبا",
    "\ufeff\u2028\u2029\u200b\ud7ff\uffff\U0010ffff",
    "=cmd|'/C calc'!A0, \"x\";--",
    "%s %(name)s {name} {{ name }} {% now %} ${name} <script>alert(1)</script>",
    "null",
)
NUL: Final = "a\x00b"
LONG: Final = "长" * 10_000
EVERYTHING: Final = "".join(STORABLE)
