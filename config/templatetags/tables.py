"""`{% table page %}`: a list as every page shows it (`lib.tables`).

Between it and `{% endtable %}` are the list's own parts. They see `row` and the page's context.

    {% cell "name" %}…{% endcell %}   a column whose value needs its own markup
    {% menu %}…{% endmenu %}          the links of a row
    {% blank %}…{% endblank %}        shown instead of a list without rows
    {% foot %}…{% endfoot %}          beside the count
    {% above %}…{% endabove %}        between the filters and the rows
    {% notice %}…{% endnotice %}      the same place, also without rows
    {% tools %}…{% endtools %}        buttons beside those of every list
    {% bulk %}…{% endbulk %}          buttons and fields of the selected rows' form
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.context import Context
from django.utils.html import conditional_escape, escape, format_html, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext

from billing.currency.display import Nano, charge_places
from billing.templatetags.money import money_price, money_request, money_total
from config.templatetags.ui import ago, duration, icon, list_time
from lib.numbers.formatting import MISSING, group_digits
from lib.tables.pages import TablePage
from lib.tables.sources import Count
from lib.tables.table import Badge, Column, State

register = template.Library()

_PARTS: Final = {
    "cell": "endcell",
    "menu": "endmenu",
    "blank": "endblank",
    "foot": "endfoot",
    "above": "endabove",
    "notice": "endnotice",
    "tools": "endtools",
    "bulk": "endbulk",
}
_TONE_ICONS: Final = {"ok": "check", "bad": "x", "warn": "triangle-alert"}
# A text that its column may cut off has the whole text as its title.
_LONG: Final = 16


class TableNode(template.Node):
    """The shared template of lists, filled with the parts of one list."""

    def __init__(self, page: FilterExpression, parts: dict[str, NodeList]) -> None:
        self.page = page
        self.parts = parts

    def render(self, context: Context) -> SafeString:
        page: TablePage = self.page.resolve(context)
        has_bulk = self._has_bulk(page, context)
        with (
            context.push(places=_places(page.state, page.rows)),
            context.push(
                page=page,
                has_bulk=has_bulk,
                bulk_html=self._part("bulk", context) if has_bulk else "",
                rows_html=self._rows(page, context),
                has_menu="menu" in self.parts,
                blank_html=self._part("blank", context) if not page.rows else "",
                tools_html=self._part("tools", context),
                above_html=self._part("above", context) if page.rows else "",
                notice_html=self._part("notice", context),
                foot_html=self._part("foot", context) if page.rows else "",
            ),
        ):
            template = context.template.engine.get_template("components/table.html")  # type: ignore[union-attr]
            return mark_safe(template.render(context))  # noqa: S308 - a template's own output

    def _part(self, name: str, context: Context) -> SafeString:
        return self.parts[name].render(context) if name in self.parts else mark_safe("")

    def _has_bulk(self, page: TablePage, context: Context) -> bool:
        return bool(context.get("bulk_url") and (page.state.table.bulk or "bulk" in self.parts))

    def _rows(self, page: TablePage, context: Context) -> SafeString:
        rows = [self._row(page, row, n, context) for n, row in enumerate(page.rows)]
        return mark_safe("".join(rows))  # noqa: S308 - each made by format_html or a template

    def _row(self, page: TablePage, row: Any, n: int, context: Context) -> str:
        state = page.state
        title = _title_of(state, row)
        with context.push(row=row):
            parts = self.parts
            cells = [
                _cell(state, column, row, context, parts.get(column.name))
                for column in state.columns
            ]
            tick = [_tick(row, title)] if self._has_bulk(page, context) else []
            menu = [self._menu(n, title, context)] if "menu" in self.parts else []
            return f"<tr>{''.join([*tick, *cells, *menu])}</tr>"

    def _menu(self, n: int, title: str, context: Context) -> str:
        inner = self.parts["menu"].render(context).strip()
        if not inner:
            return '<td class="act"></td>'
        return format_html(
            '<td class="act"><button class="btn" data-kind="ghost" data-icon data-size="sm"'
            ' type="button" popovertarget="row-{}" aria-haspopup="true" aria-label="{}">{}</button>'
            '<div class="menu" id="row-{}" popover>{}</div></td>',
            n,
            gettext("Actions for %(name)s") % {"name": title},
            icon("ellipsis"),
            n,
            mark_safe(inner),  # noqa: S308 - a template's own output
        )


@register.tag("table")
def do_table(parser: Parser, token: Token) -> TableNode:
    """Parse the parts of the list."""
    _, page = token.split_contents()
    parts: dict[str, NodeList] = {}
    while True:
        parser.parse((*_PARTS, "endtable"))
        token = parser.next_token()
        name, *arguments = token.split_contents()
        if name == "endtable":
            return TableNode(parser.compile_filter(page), parts)
        part = parser.parse((_PARTS[name],))
        parser.delete_first_token()
        parts[arguments[0].strip("\"'") if name == "cell" else name] = part


@register.simple_tag(takes_context=True)
def table_rows(
    context: Context, state: State, rows: Sequence[Any], places: dict[str, int]
) -> SafeString:
    """Render rows as `{% table %}` does, without custom cells, for appending to a page. `places`
    has the decimals of the page's columns of amounts."""
    with context.push(places={**_places(state, rows), **places}):
        cell_rows = [
            "".join(_cell(state, column, row, context, None) for column in state.columns)
            for row in rows
        ]
    return mark_safe("".join(f"<tr>{cells}</tr>" for cells in cell_rows))  # noqa: S308 - as above


def _cell(state: State, column: Column, row: Any, context: Context, part: NodeList | None) -> str:
    if part:
        inner = part.render(context).strip()
    else:
        inner = display_value(column, column.read(row), context["places"].get(column.name))
    first = column is state.columns[0]
    path = (state.table.href if first else "") or column.href
    href = path and _attribute(row, path)
    if href:
        inner = f'<a href="{escape(href)}">{inner}</a>'
    tag = 'th scope="row"' if first else "td"
    return f"<{tag}{_attributes(column, state)}{_card_row(column, inner)}>{inner}</{tag[:2]}>"


def display_value(column: Column, value: Any, places: int | None = None) -> str:
    """Format a cell as its column's kind requires. The result is escaped."""
    if value is None or value == "":
        return f'<span class="faint">{MISSING}</span>'
    if places is not None:
        return _money(value, money_request(value, places))
    return str(_SHOWN[column.kind](value))


def _places(state: State, rows: Sequence[Any]) -> dict[str, int | None]:
    """Return the decimals of each visible column of charges, so that its decimal points line up. A
    price has all decimals that it needs, and no more than its neighbour needs."""
    places = {
        column.name: charge_places([column.read(row) or 0 for row in rows])
        for column in state.columns
        if column.kind == "money"
    }
    return defaultdict(lambda: None, places)


def _cell_text(value: Any) -> str:
    return _long_value("span", value) if len(str(value)) > _LONG else escape(str(value))


def _code(value: Any) -> str:
    return (
        _long_value("code", value)
        if len(str(value)) > _LONG
        else format_html("<code>{}</code>", value)
    )


def _long_value(tag: str, value: Any) -> str:
    return format_html('<{} class="long" title="{}">{}</{}>', tag, value, value, tag)


def _money(nano: Nano, text: str) -> str:
    return conditional_escape(text) if nano else format_html('<span class="faint">{}</span>', text)


@register.filter("badge")
def _badge(value: Badge) -> str:
    """Return the badge of a state as lists show it, for a page that draws the cell itself."""
    name = value.icon or _TONE_ICONS.get(value.tone, "")
    return format_html(
        '<span class="badge" data-tone="{}"{}>{}{}</span>{}',
        value.tone,
        format_html(' title="{}"', value.hint) if value.hint else "",
        icon(name) if name else "",
        value.text,
        format_html(" {}", _badge(value.beside)) if value.beside else "",
    )


_SHOWN: Final[dict[str, Any]] = {
    "text": _cell_text,
    "code": _code,
    "number": lambda value: escape(group_digits(value)),
    "price": lambda nano: _money(nano, money_price(nano)),
    "total": lambda nano: _money(nano, money_total(nano)),
    "time": list_time,
    "ago": ago,
    "duration": lambda milliseconds: escape(duration(milliseconds)),
    "badge": _badge,
    "meter": lambda nano: _money(nano, money_total(nano)),
}


def _attributes(column: Column, state: State) -> str:
    """Return the attributes of a header and its cells: alignment, priority, and place on a card."""
    parts = [f' data-c="{column.name}"']
    if column.numeric:
        parts.append(' class="n"')
    elif column.kind not in ("text", "code"):
        parts.append(f' data-kind="{column.kind}"')
    if column.priority > 1 and not state.columns_chosen:
        parts.append(f' data-p="{column.priority}"')
    if card := _card(column, state):
        parts.append(f' data-card="{card}"')
    return "".join(parts)


def _card_row(column: Column, inner: str) -> str:
    """Return the label of a figure in the second line of a card, which has no headers."""
    if column.card not in ("second", "last"):
        return ""
    if MISSING in inner and strip_tags(inner).strip() == MISSING:
        return " data-none"
    return format_html(' data-label="{}"', column.label) if column.numeric else ""


def _card(column: Column, state: State) -> str:
    """Return the column's place on a card. The first column always has one, because it links to the
    row."""
    first = state.columns[0]
    if first.card is None and column.card in (None, "title"):
        return "title" if column is first else ""
    return column.card or ""


@register.simple_tag
def column_attributes(column: Column, state: State) -> SafeString:
    """Return the attributes of a header."""
    return mark_safe(_attributes(column, state))  # noqa: S308 - names from the declaration


def _title(state: State) -> Column:
    """Return the column that names a row: its card's title, else the first column."""
    return next((column for column in state.columns if column.card == "title"), state.columns[0])


def _title_of(state: State, row: Any) -> str:
    value = _title(state).read(row)
    return str(value.text if isinstance(value, Badge) else value)


def _tick(row: Any, title: str) -> str:
    return format_html(
        '<td class="tick"><input type="checkbox" name="id" value="{}" form="bulk"'
        ' aria-label="{}"></td>',
        _attribute(row, "id"),
        gettext("Select %(name)s") % {"name": title},
    )


def _attribute(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else getattr(row, name)


@register.filter
def row_count(count: Count | None) -> str:
    """Format the number of rows: exact, approximate or a lower bound; empty if unknown."""
    if count is None:
        return ""
    figure = {"n": group_digits(count.n)}
    if count.exact:
        return ngettext("%(n)s row", "%(n)s rows", count.n) % figure
    return (
        gettext("more than %(n)s rows") if count.at_least else gettext("about %(n)s rows")
    ) % figure
