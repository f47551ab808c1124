"""Code with colours, for pages."""

from typing import Final

from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

_FORMATTER: Final = HtmlFormatter(nowrap=True)


def highlight_code(code: str, lexer_name: str) -> SafeString:
    """Highlight code for a page. `lexer_name` is Pygments' name of its language."""
    lexer = get_lexer_by_name(lexer_name, stripnl=False, ensurenl=False)
    # The formatter escapes every token.
    return mark_safe(highlight(code, lexer, _FORMATTER))  # noqa: S308
