"""Lists: each is described once, and one shared template shows it.

How to make a list page
-----------------------

1. In the view's module, say what the list is, once, at import:

       CODES = Table(
           "codes",                                # names its export and its stored settings
           _("Codes"),
           (
               Column("name", _("Name"), sort=True, card="title"),
               Column("state", _("State"), "badge", value=badge_of, card="first"),
               Column("amount", _("Amount"), "money", value="amount_nano", sort=True, card="money"),
               Column("made", _("Created"), "time", value="created_at", sort="id", card="last"),
               Column("by", _("By"), value="made_by.email", sort="made_by__email", priority=3),
           ),
           default_sort="-made",
           filters=(
               Filter("q", _("Name"), "search"),
               Filter("state", _("State"), choices=(("", _("Any state")), ("used", _("Used")))),
           ),
       )

   A value is read by the column's own name, or by `value`: a path of attributes and keys
   separated by dots, or a function of the row. Money is nano, a duration milliseconds. The kind
   `money` shows all significant digits of a request's cost, `total` an amount in whole cents.
   `sort` is True for the value itself; for a query it must be a path of the database
   (`made_by__email`).

2. The view reads the requested state, filters its rows, and answers:

       @operator_page("codes.read")
       @require_safe
       def code_list(request, actor):
           state = read_table(CODES, request, actor)      # accounts.preferences.table_preferences
           rows = access_codes(actor)
           if state.value("state"):
               rows = rows.filter(state=state.value("state"))
           templates = ("billing/credits/codes.html", "billing/credits/_codes.html")
           return answer_table(request, state, QuerySource(rows), templates, {})

   `QuerySource(rows)` pages in the database, `ListSource(rows)` in memory, where any column sorts.
   `make` (the last argument) converts the rows of one page, for values that would need a query
   per row. A `big` table has an unlimited number of rows: it is sorted only by indexed columns.

3. The page includes its part in its content (`{% include "billing/credits/_codes.html" %}`). The
   part is the tag with the list's own parts:

       {% load i18n tables %}
       {% table page %}
         {% cell "by" %}…{{ row.made_by.name }}…{% endcell %}
         {% menu %}{% include "components/menu_item.html" with … only %}{% endmenu %}
         {% foot %}· {{ total|money_total }}{% endfoot %}
         {% blank %}{% include "components/empty.html" with … only %}{% endblank %}
       {% endtable %}

   Each of these is optional, as are `{% above %}` (between filters and rows) and `{% bulk %}` (the
   form's own fields and buttons for selected rows). A cell is one line; its column's kind renders
   it unless the list has a `{% cell %}` for it.

A list then has: sorting by a click on a header, by several with Shift; columns, their order and the
rows per page, stored per person; filters that apply immediately, chips, Clear all; a count; first,
previous, next and last page by keyset; an export of the filtered rows (`exports.py`); a row's menu;
actions for several rows (`bulk` or `{% bulk %}`, sent to the context's `bulk_url`); a sticky
header; cards on a telephone. Everything has an address and works without scripts.
"""
