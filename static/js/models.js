// The list that a model is picked from: a select carries the value, a button in its place opens the
// list, which is fetched once and searched here.
const menu = $("#menu-models"), field = $("#model-q"), list = $("#models-found");
let button, options = [], asked = false, changed = "";

const carrier = () => document.getElementById(button.dataset.pickFor);
const active = () => $("[aria-selected=true]", list);

function load() {
  if (asked || !menu) return;
  asked = true;
  window.htmx.trigger(list, "load-models");
}

function open(from) {
  if (menu.matches(":popover-open")) return;
  button = from;
  load();
  for (const one of $$("[data-opens]")) delete one.dataset.opens;
  // What stands in a menu closes with it; the list then stands under the menu's own button.
  const outer = from.closest(".menu");
  (outer ? $(`[popovertarget="${outer.id}"]`) : from).dataset.opens = menu.id;
  outer?.hidePopover();
  field.value = "";
  menu.showPopover();
  field.focus();
  filter();
}

// Every word is looked for in every row; rows that are not drawn cost no layout.
function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const one of options) {
    one.hidden = !words.every((word) => one.dataset.words.includes(word));
    count += !one.hidden;
  }
  for (const group of list.children) group.hidden = !$("[role=option]:not([hidden])", group);
  const chosen = !words.length && carrier()?.value;
  mark(options.find((one) => one.dataset.name === chosen) ?? options.find((one) => !one.hidden));
  $(".models-none", menu).hidden = !options.length || count > 0;
  $("[data-models-count]", menu).textContent = count === 1 ? menu.dataset.one : menu.dataset.many.replace("%(n)s", count);
}

function mark(option) {
  active()?.setAttribute("aria-selected", "false");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  if (option) field.setAttribute("aria-activedescendant", option.id);
  else field.removeAttribute("aria-activedescendant");
  press();
}

// The buttons below are those of the row that is marked.
function press() {
  const [favourite, standard] = $$("[data-model-change]", menu), row = active();
  for (const one of [favourite, standard]) one.disabled = !row;
  favourite.ariaPressed = !!row && "favourite" in row.dataset;
  standard.ariaPressed = !!row && "default" in row.dataset;
}

function take(name) {
  const target = carrier();
  menu.hidePopover();
  target.value = name;
  if (target.matches("select")) target.dispatchEvent(new Event("change", { bubbles: true }));
  else target.form.requestSubmit();
}

on("pointerover", ({ target }) => { if (target.closest?.("[data-pick-for]")) load(); });
on("focusin", ({ target }) => { if (target.matches?.("[data-pick-for]")) load(); });
on("click", (event) => {
  const from = event.target.closest("[data-pick-for]");
  if (from) open(from);
  const row = event.target.closest("#models-found [role=option]");
  if (!row) return;
  if (!event.target.closest("[data-star]")) { take(row.dataset.name); return; }
  mark(row);
  $("[data-model-change]", menu).click();
});
on("click", ({ target }) => {
  const change = target.closest("[data-model-change]");
  if (!change) return;
  changed = active().dataset.name;
  const place = { source: change, target: list, swap: "innerHTML", values: { model: changed } };
  window.htmx.ajax("POST", change.dataset.modelChange, place);
});
on("keydown", (event) => {
  if (!event.target.matches?.("[data-pick-for]") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  open(event.target);
});
on("input", ({ target }) => { if (target === field) filter(); });
// The shell walks the rows by arrows; the buttons below follow.
on("keydown", ({ target }) => { if (target === field) press(); });
on("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.target !== list) return;
  options = $$("[role=option]", list);
  if (!menu.matches(":popover-open")) return;
  filter();
  if (changed) mark(options.find((one) => one.dataset.name === changed));
  changed = "";
});
on("change", ({ target }) => {
  const shown = target.id && $(`[data-pick-for="${CSS.escape(target.id)}"] [data-picked]`);
  if (shown) shown.textContent = target.selectedOptions[0]?.textContent.trim() ?? "";
});
