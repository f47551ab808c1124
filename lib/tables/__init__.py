"""Lists: each is described once, and one shared template shows it.

How to make a list page
-----------------------

1. In the view's module, say what the list is, once, at import:

       CODES = Table(
           "codes",                                # names its export and its readers' choices
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

   A value is read by the column's own name unless `value` says where it is: a path of attributes
   and keys parted by dots, or a function of the row. Money is nano, a duration milliseconds; the
   kind `money` shows every digit that matters of a request's cost, `total` an amount in whole
   cents. `sort` is True for the value itself; over a query it must be a path of the database
   (`made_by__email`).

2. The view reads what was asked, narrows its rows by the filters, and answers:

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
   `make` (a last argument) turns the rows of one page into what the columns read, for what costs a
   query each. A list without end is `big`: a column of it is sorted only by an index.

3. The page includes its part in its content (`{% include "billing/credits/_codes.html" %}`); the
part is
   the tag, with what only this list has:

       {% load i18n tables %}
       {% table page %}
         {% cell "by" %}…{{ row.made_by.name }}…{% endcell %}
         {% menu %}{% include "components/menu_item.html" with … only %}{% endmenu %}
         {% foot %}· {{ total|money_total }}{% endfoot %}
         {% blank %}{% include "components/empty.html" with … only %}{% endblank %}
       {% endtable %}

   Each of these is optional, as is `{% above %}` for what stands between filters and rows, and
   `{% bulk %}` for fields and buttons for selected rows that are more than an action's name. A cell
   is one line; a kind shows it unless it needs more.

What this gives: sorting by a click on a head, by several with Shift; columns, their order and the
rows per page, kept per person; filters that act at once, chips, Clear all; a count; first,
previous, next and last page by keyset; the export of exactly what is filtered (`exports.py`); a
row's menu; several rows at once (`bulk` or `{% bulk %}`, sent to the `bulk_url` of the context); a
sticky head; cards on a telephone.
Everything has an address and works without scripts.
"""
