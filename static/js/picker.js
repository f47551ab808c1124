// A field that is chosen from what exists (lib/forms/picker.py): a plain field carries its value, chips show
// it, and a list to type in offers more. ui.js walks the list by arrows; Enter and a click take.
const ROWS_MAX = 100, SEARCH_MS = 150;
const within = (target) => target.closest?.("[data-picker]");
const on = (name, act) => document.addEventListener(name, (event) => {
  const root = event.target.closest && within(event.target);
  if (root) act(event, root, parts(root));
}, true);
const parts = (root) => {
  const field = $("[role=combobox]", root);
  return { plain: root.firstElementChild, field, list: $("[role=listbox]", root), chips: $(".chips", root) };
};
const valuesOf = (root) => $$(".chip", root).map((chip) => chip.dataset.value);

// A typed text is sent too, as if there were no list: the server says what is wrong with it. A select
// has no place for it.
function store(root) {
  const { plain, field, list } = parts(root), values = valuesOf(root), text = field.value.trim();
  const strict = plain.options || "strict" in root.dataset;
  if (!plain.options) plain.value = "many" in root.dataset ? [...values, text].filter(Boolean).join(", ") : text || (values[0] ?? "");
  else if (plain.multiple) for (const one of plain.options) one.selected = values.includes(one.value);
  else plain.value = values[0] ?? "";
  if (strict) field.setCustomValidity(text && list.dataset.choose);
  for (const name of ["input", "change"]) plain.dispatchEvent(new Event(name, { bubbles: true }));
}

function add(root, row) {
  const { chips } = parts(root), { value, tone, mark = "" } = row.dataset;
  if (valuesOf(root).includes(value)) return;
  if (!("many" in root.dataset)) chips.replaceChildren();
  const chip = $("template", root).content.firstElementChild.cloneNode(true);
  chip.dataset.value = value;
  if (tone) chip.dataset.tone = tone;
  const [name, detail] = $$(".cut", chip), label = $(".cut", row).textContent, gone = $("button", chip);
  name.textContent = label;
  detail.textContent = mark;
  if (gone) gone.ariaLabel += ` ${label}`;
  chips.append(chip);
}

function take(root, row) {
  const { field, list } = parts(root);
  add(root, row);
  field.value = "";
  store(root);
  if ("many" in root.dataset) look(root);
  else list.hidePopover();
}

// Several words are chosen together, as when a list is pasted; what is no choice stays to be corrected.
function takeWords(root) {
  const { field, list } = parts(root);
  if (!("many" in root.dataset) || !/[\s,]/.test(field.value)) return;
  const words = field.value.split(/[\s,]+/).filter(Boolean);
  const rows = $$("[role=option]", list).filter((row) => words.includes(row.dataset.value));
  for (const row of rows) add(root, row);
  const left = words.filter((word) => !valuesOf(root).includes(word));
  if (left.length === words.length) return;
  field.value = left.join(" ");
  store(root);
  look(root);
}

// A text that is written in full is chosen, also where it was not taken from the list.
function takeWhole(root) {
  const { field, list } = parts(root), text = field.value.trim();
  const same = ({ dataset, firstChild }) => [dataset.value, firstChild.textContent].includes(text);
  const row = text && $$("[role=option]", list).find(same);
  if (!row) return;
  add(root, row);
  field.value = "";
  store(root);
}

// The list: asked for where the field has an address, else from the plain field's own options
const awaited = new WeakSet();
let timer;
function look(root, wait = 0) {
  const { plain, field, list } = parts(root);
  awaited.add(root);
  if (plain.options) { offer(root); return; }
  clearTimeout(timer);
  timer = setTimeout(() => {
    const url = new URL(root.dataset.picker, location.href), beside = root.dataset.beside;
    url.searchParams.set("q", field.value);
    if (beside) url.searchParams.set(beside, plain.form.elements[beside]?.value ?? "");
    window.htmx.ajax("GET", url.href, { source: list, target: list, swap: "innerHTML" });
  }, wait);
}

function offer(root) {
  const { plain, field, list } = parts(root), many = "many" in root.dataset;
  const words = field.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const fits = (one) => {
    const text = `${one.text} ${one.value} ${one.dataset.note ?? ""}`.toLowerCase();
    return one.value && !(many && one.selected)
      && (many && words.includes(one.value.toLowerCase()) || words.every((word) => text.includes(word)));
  };
  const rows = [...plain.options].filter(fits).slice(0, ROWS_MAX).map((one) => {
    const row = document.createElement("button");
    Object.assign(row, { type: "button", className: "item", role: "option", tabIndex: -1 });
    row.dataset.value = one.value;
    for (const [text, name] of [[one.text, "cut"], [one.dataset.note ?? "", "end xs cut"]]) {
      row.append(Object.assign(document.createElement("span"), { textContent: text, className: name, dir: "auto" }));
    }
    return row;
  });
  const none = Object.assign(document.createElement("p"), { className: "muted xs picks-none", textContent: list.dataset.none });
  list.replaceChildren(...(rows.length ? rows : [none]));
  mark(root);
}

// The first row is marked, those that are chosen are hidden. The list is as wide as the field.
function mark(root) {
  const { field, list } = parts(root), values = "many" in root.dataset ? valuesOf(root) : [];
  const rows = $$("[role=option]", list), box = field.parentElement.getBoundingClientRect();
  rows.forEach((row, index) => {
    row.id = `${list.id}_${index}`;
    row.hidden = values.includes(row.dataset.value);
  });
  if (document.activeElement === field && !list.matches(":popover-open")) list.showPopover();
  list.style.width = `${box.width}px`;
  list.style.left = `${box.left}px`;
  const room = innerHeight - box.bottom, below = room > list.offsetHeight + 8 || room > box.top;
  list.style.top = `${below ? box.bottom + 4 : box.top - list.offsetHeight - 4}px`;
  const first = rows.find((row) => !row.hidden);
  first?.setAttribute("aria-selected", "true");
  if (first) field.setAttribute("aria-activedescendant", first.id);
  else field.removeAttribute("aria-activedescendant");
}

on("htmx:after:swap", (event, root) => {
  const { field, list } = parts(root);
  if (document.activeElement === field && awaited.has(root)) {
    mark(root);
    takeWords(root);
  } else {
    takeWhole(root);
    list.replaceChildren();
  }
});
on("input", ({ target }, root, { field, plain }) => {
  if (target !== field) return;
  store(root);
  look(root, SEARCH_MS);
  if (plain.options) takeWords(root);
});
on("keydown", (event, root, { field, list, chips }) => {
  const { target, key } = event;
  if (target !== field || event.isComposing) return;
  const open = list.matches(":popover-open");
  if (key === "Backspace" && !field.value) {
    chips.lastElementChild?.remove();
    store(root);
    if (open) look(root);
  } else if (key === "Enter" && !open && !field.value) event.stopPropagation(); // sends the form
  else if ((key === "ArrowDown" || key === "ArrowUp") && !open) {
    event.preventDefault();
    event.stopPropagation();
    look(root);
  }
});
// A press on the list leaves the focus in the field.
on("mousedown", (event, root, { list }) => { if (list.contains(event.target)) event.preventDefault(); });
on("click", ({ target }, root, { field, list }) => {
  const row = target.closest("[role=option]"), gone = target.closest("[data-unpick]");
  if (row) take(root, row);
  else if (gone) {
    gone.closest(".chip").remove();
    store(root);
    field.focus();
  } else if (target.closest(".picked") && !field.disabled) {
    field.focus();
    look(root);
  }
});
on("focusout", ({ relatedTarget }, root, { list }) => {
  if (root.contains(relatedTarget)) return;
  takeWhole(root);
  if (list.matches(":popover-open")) list.hidePopover();
});
on("beforetoggle", ({ newState }, root, { field, list }) => {
  field.ariaExpanded = newState === "open";
  if (newState === "open") return;
  awaited.delete(root);
  list.replaceChildren();
  delete list.dataset.answers;
  field.removeAttribute("aria-activedescendant");
});
// What belongs to another choice (a team to "Team") goes with it.
document.addEventListener("change", ({ target }) => {
  for (const root of $$("[data-beside]", target.form ?? document.createElement("i"))) {
    if (root.dataset.beside !== target.name) continue;
    const { chips, field } = parts(root);
    chips.replaceChildren();
    field.value = "";
    store(root);
  }
});

// Rows of fields (lib/forms/rows.py)
let rowCount = 0;
document.addEventListener("click", ({ target }) => {
  const more = target.closest("[data-row-add]"), gone = target.closest("[data-row-remove]");
  if (gone) {
    const add = $("[data-row-add]", gone.closest("[data-rows]"));
    gone.closest(".field-row").remove();
    add.focus();
  }
  if (!more) return;
  const row = $(":scope > template", more.parentElement).content.firstElementChild.cloneNode(true);
  rowCount += 1;
  for (const one of $$("[id]", row)) one.id += `_${rowCount}`;
  for (const one of $$("[aria-controls]", row)) one.setAttribute("aria-controls", `${one.getAttribute("aria-controls")}_${rowCount}`);
  more.before(row);
  ready(row);
  $("input:not([type=hidden]), select", row).focus();
});

// The field to type in takes the place of the plain one for its label, hint, error and focus.
function ready(place) {
  for (const root of $$("[data-picker]:not([data-ready])", place)) {
    const { plain, field } = parts(root);
    root.dataset.ready = "";
    const id = plain.id;
    plain.removeAttribute("id");
    field.id = id;
    field.removeAttribute("aria-label"); // it has the field's own label now
    for (const name of ["aria-describedby", "aria-invalid", "aria-label", "autofocus"]) {
      if (!plain.hasAttribute(name)) continue;
      field.setAttribute(name, plain.getAttribute(name));
      plain.removeAttribute(name);
    }
  }
}
document.addEventListener("htmx:after:process", ({ target }) => ready(target), true);
ready(document);
