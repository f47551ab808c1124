// What pages have that are worked with, not only read: forms and lists.
const words = $("#words").dataset;

// A form names what it changes beside Save, and asks before it is lost
const initial = new WeakMap();
let sent = null;
const labelOf = (form, name) => {
  const fields = $$(`[name="${CSS.escape(name)}"]`, form), field = fields[0];
  const label = fields[1] ? $("legend", field.closest("fieldset") ?? form) : field?.labels?.[0] ?? field?.closest(".field")?.querySelector("label");
  return (label?.matches(".check") ? $("span", label) : label)?.firstChild.textContent.trim() ?? "";
};
const valuesOf = (form) => {
  const values = {};
  for (const [name, value] of new FormData(form)) values[name] = `${values[name] ?? ""}\n${value.name ?? value}`;
  return values;
};
const remember = (form) => {
  if (initial.has(form)) return;
  const values = valuesOf(form);
  initial.set(form, { values, labels: Object.fromEntries(Object.keys(values).map((name) => [name, labelOf(form, name)])) });
};
const changes = (form) => {
  const before = initial.get(form)?.values, now = valuesOf(form);
  return before ? Object.keys({ ...before, ...now }).filter((name) => before[name] !== now[name]) : [];
};
on("input", ({ target }) => {
  const form = target.form, place = form?.matches("[data-guarded]") && $("[data-changed]", form);
  if (form === sent) sent = null;
  if (!place) return;
  const labels = initial.get(form)?.labels ?? {};
  const names = [...new Set(changes(form).map((name) => labels[name] || labelOf(form, name)))].filter(Boolean);
  place.textContent = names.length ? words[names.length > 1 ? "changes" : "change"].replace("{n}", names.length).replace("{s}", names.join(words.comma)) : "";
});
const unsaved = (root) => $$("form[data-guarded]", root).some((form) => form !== sent && (changes(form).length || $("[aria-invalid=true]", form)));
const leaves = (root) => !unsaved(root) || confirm(words.leave);
on("cancel", (event) => { if (!leaves(event.target)) event.preventDefault(); }, true); // Esc, the backdrop
on("submit", (event) => {
  const { target } = event, dialog = target.getAttribute("method") === "dialog" && target.closest("dialog");
  if (dialog && !leaves(dialog)) event.preventDefault();
  if (!event.defaultPrevented) sent = target;
});
on("htmx:before:request", ({ detail: { ctx } }) => { if (ctx.request.method !== "GET") sent = ctx.sourceElement.closest("form"); });
for (const name of ["htmx:after:swap", "htmx:error"]) on(name, () => { sent = null; }); // it came back, or not
addEventListener("beforeunload", (event) => { if (unsaved(document)) event.preventDefault(); });

// A long form's contents follow what is in sight
const links = $$(".contents a");
const follow = () => {
  const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const now = end ? links.at(-1) : links.findLast((link) => $(link.hash).getBoundingClientRect().top < 160) ?? links[0];
  for (const link of links) link.ariaCurrent = link === now ? "location" : null;
};
if (links.length) { on("scroll", follow, { passive: true }); follow(); }

// Its name is typed to confirm
const matches = (form) => $("[name=confirm]", form)?.value.trim() === form.dataset.confirmName;
const guard = (form) => { $("[type=submit][data-kind=danger]", form).disabled = !matches(form); };
on("input", ({ target }) => { const form = target.closest("[data-confirm-name]"); if (form) guard(form); });

// Time zones begin with the reader's
function offerOwnZone(select) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!own || select.options[0].value === own) return;
  const option = [...select.options].find(({ value }) => value === own) ?? new Option(own.replaceAll("_", " "), own);
  option.text = `${option.text.trim()} (${words.ownZone})`;
  select.prepend(option);
}

// Lists
// Shift on a head adds its column to the order, before htmx takes the click.
on("click", (event) => {
  const link = event.shiftKey && event.target.closest?.("[data-add]");
  if (!link) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  window.htmx.ajax("GET", new URL(link.dataset.add, location.href).href, { source: link, target: "#results", swap: "outerHTML" });
}, true);
on("click", (event) => {
  const move = event.target.closest?.("[data-move]");
  if (!move) return;
  event.preventDefault();
  const item = move.closest("li");
  if (move.dataset.move === "up") item.previousElementSibling?.before(item);
  else item.nextElementSibling?.after(item);
  move.focus();
});
on("click", ({ target }) => {
  const button = target.closest?.("button[data-filters]");
  if (button) button.ariaExpanded = document.documentElement.toggleAttribute("data-filters");
});
on("change", ({ target }) => {
  // Of several values of a filter, the new one stays.
  if (target.matches(".filters select")) for (const one of $$(`[type=hidden][name=${target.name}]`, target.form)) one.remove();
  const table = target.closest?.(".tick")?.closest("table");
  if (!table) return;
  const boxes = $$(".tick [name=id]", table);
  if (target.matches("[data-tick-all]")) for (const box of boxes) box.checked = target.checked;
  // No counter of styles is seen outside of the list.
  const bar = table.closest("#rows")?.querySelector(".bulk-n");
  if (bar) bar.dataset.n = boxes.filter((box) => box.checked).length;
});
// A list too wide breaks its heads, then loses columns by priority, then scrolls.
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const wide = () => target.scrollWidth > target.clientWidth + 1;
    delete target.dataset.less;
    target.removeAttribute("data-wide");
    for (const less of ["5", "54", "543", "5432"]) if (wide()) target.dataset.less = less;
    target.toggleAttribute("data-wide", wide());
  }
});

function ready(root) {
  const all = (selector) => root.matches?.(selector) ? [root, ...$$(selector, root)] : $$(selector, root);
  all("form[data-guarded]").forEach(remember);
  for (const one of all("[data-confirm-name]")) guard(one);
  for (const one of all("select:is([name=tz], [name=timezone])")) offerOwnZone(one);
  // Dates and files are shown in the page's words.
  const faces = all(":is(.date-face, .file-field) > input");
  if (faces.length) import($("#native").dataset.code).then(({ show }) => faces.forEach(show));
  for (const one of all(".tbl[data-list]")) widths.observe(one);
  // Ticked before this script ran.
  for (const one of all(".tick > [data-tick-all]:checked")) one.dispatchEvent(new Event("change", { bubbles: true }));
  for (const one of all("[data-filters]")) one.ariaExpanded = document.documentElement.hasAttribute("data-filters");
}
on("htmx:after:process", ({ target }) => ready(target));
ready(document);

// A row opens what its name opens.
on("click", ({ target }) => {
  const row = target.closest("tbody tr");
  if (row && !target.closest("a, button, input, label, select") && getSelection().isCollapsed) $("th > a:not(.btn)", row)?.click();
});
