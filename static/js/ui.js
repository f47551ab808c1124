// The shell's behaviour, by data attributes and delegated events.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const words = $("#words")?.dataset ?? {};
const on = (name, act, options) => document.addEventListener(name, act, options);
const say = (text) => { const live = $("#live"); if (live) live.textContent = text; };

// The page that is open stays in sight in a navigation longer than the window.
$("#nav [aria-current]")?.scrollIntoView({ block: "nearest" });

// Dialogs and drawers -----------------------------------------------------------------------------
let stored = {};
try { stored = localStorage; } catch {} // storage is switched off
let opener = null;
function open(dialog) {
  if (!dialog) return;
  if (!dialog.matches(":modal")) {
    opener = document.activeElement;
    const menu = opener?.closest(".menu"); // shut by then: its button stays
    if (menu) opener = $(`[popovertarget="${menu.id}"]`) ?? opener;
    if (dialog.open) dialog.close();
    dialog.showModal();
  }
  if (dialog.matches(".palette")) {
    $("[name=recent]", dialog).value = stored.recent ?? "";
    $("input", dialog).select();
    look(dialog);
  }
  if (!focusError(dialog)) ($("[autofocus]", dialog) ?? $(".dlg-head h2", dialog))?.focus();
}
// The first refused field and its message are in sight, even in a fold.
function focusError(root) {
  const field = $("[aria-invalid=true]", root);
  if (!field) return false;
  for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  field.focus();
  field.closest(".field")?.scrollIntoView({ block: "nearest" });
  return true;
}
on("close", ({ target }) => {
  if (!target.matches("dialog.drawer, dialog.dlg")) return;
  const url = new URL(location.href);
  if (url.searchParams.has("d")) {
    url.searchParams.delete("d");
    history.replaceState(history.state, "", url);
  }
  // The browser has done so, unless the opener is hidden now.
  if (opener?.isConnected && (document.activeElement === document.body || !document.activeElement.checkVisibility())) opener.focus();
  if (target.id === "dialog") target.replaceChildren(); // a secret shown once leaves the page
}, true);
on("cancel", (event) => { if (!leaves(event.target)) event.preventDefault(); }, true); // Esc
on("htmx:after:swap", ({ detail }) => {
  const named = detail.ctx.target; // by HX-Retarget a selector
  const target = typeof named === "string" ? $(named) : named;
  const dialog = target?.closest?.("dialog");
  if (target?.matches?.("dialog")) remember(target);
  // What changes inside an open one leaves the focus with the reader.
  if (dialog?.id === "dialog" && dialog.childElementCount && (target === dialog || !dialog.open)) open(dialog);
});

// Clicks ------------------------------------------------------------------------------------------
on("click", (event) => {
  const { target } = event;
  const hit = (selector) => target.closest(selector);
  let found;
  if (target.matches("dialog.drawer, dialog.dlg")) { // the backdrop
    const box = target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside && leaves(target)) target.close();
  } else if ((found = hit("[data-dialog]")) && $(found.dataset.dialog)) {
    event.preventDefault();
    open($(found.dataset.dialog));
  } else if ((found = hit("dialog [data-dialog-close]"))) {
    event.preventDefault(); // a link leads back where the form is a page of its own
    found.closest("dialog").close();
  } else if ((found = hit("[data-copy], [data-copy-text]"))) copy(found);
  else if ((found = hit("[data-wrap-toggle]"))) {
    found.setAttribute("aria-pressed", found.closest(".code").toggleAttribute("data-wrap"));
  } else if ((found = hit("[data-press]"))) {
    found.closest("dialog").close();
    $(found.dataset.press).click();
  } else if ((found = hit("[data-theme-set]"))) setTheme(found);
  else if ((found = hit("[data-close]"))) found.closest(".toast")?.remove();
  else if ((found = hit("[data-fill]"))) {
    const box = $("[data-composer] textarea");
    if (box) { box.value = found.dataset.fill; box.focus(); box.dispatchEvent(new Event("input", { bubbles: true })); }
  }
});

async function copy(button) {
  const source = button.dataset.copy && $(button.dataset.copy);
  const text = button.dataset.copyText ?? source?.value ?? source?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no permission, or not a secure context
    if (source) getSelection().selectAllChildren(source);
    return;
  }
  const label = $("span", button);
  const before = label?.textContent;
  if (label) label.textContent = words.copied;
  button.toggleAttribute("data-done", true);
  say(words.copied);
  setTimeout(() => {
    button.removeAttribute("data-done");
    if (label) label.textContent = before;
  }, 1600);
}

function setTheme(button) {
  document.documentElement.dataset.theme = button.dataset.themeSet;
  for (const one of $$("[data-theme-set]")) one.setAttribute("aria-pressed", one === button);
  document.dispatchEvent(new Event("themechange"));
}

// A menu stands under its button, inside the window ------------------------------------------------
on("beforetoggle", ({ target, newState }) => {
  if (newState !== "open" || !target.matches?.(".menu:not([data-sheet])")) return;
  const button = $(`[data-opens="${target.id}"]`) ?? $$(`[popovertarget="${target.id}"]`).find((one) => one.offsetParent !== null || one.getClientRects().length);
  if (!button) return;
  requestAnimationFrame(() => {
    const at = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = target;
    const left = at.left + width > innerWidth - 8 ? at.right - width : at.left;
    const below = at.bottom + 4 + height <= innerHeight - 8;
    target.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    target.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - height - 4)}px`;
  });
}, true);

// Tables --------------------------------------------------------------------------------------------
// Shift on a head adds its column to the order; before htmx takes the click for its own.
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
  if (button) button.setAttribute("aria-expanded", document.documentElement.toggleAttribute("data-filters"));
});
on("change", ({ target }) => {
  const table = target.closest?.(".tick")?.closest("table");
  if (!table) return;
  const boxes = $$(".tick [name=id]", table);
  if (target.matches("[data-tick-all]")) for (const box of boxes) box.checked = target.checked;
  // The list is a container of styles: no counter of them is seen outside of it.
  const bar = table.closest("#rows")?.querySelector(".bulk-n");
  if (bar) bar.dataset.n = boxes.filter((box) => box.checked).length;
});
// A list wider than its place scrolls by itself.
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.removeAttribute("data-wide");
    target.toggleAttribute("data-wide", target.scrollWidth > target.clientWidth + 1);
  }
});

// Fields whose list is drawn by the server: arrows walk it, Enter takes ------------------------------
const listOf = (field) => document.getElementById(field.getAttribute("aria-controls"));
function pick(field, step) {
  const options = $$("[role=option]:not([hidden])", listOf(field));
  const marked = options.find((one) => one.ariaSelected === "true");
  const chosen = options.at((step ? options.indexOf(marked) + step : 0) % options.length);
  marked?.setAttribute("aria-selected", "false");
  chosen?.setAttribute("aria-selected", "true");
  chosen?.scrollIntoView({ block: "nearest" });
  if (chosen) field.setAttribute("aria-activedescendant", chosen.id);
  else field.removeAttribute("aria-activedescendant");
}
on("keydown", (event) => {
  const { target: field, key } = event;
  if (!field.matches?.("[role=combobox]") || event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
  if (key === "ArrowDown" || key === "ArrowUp") pick(field, key === "ArrowDown" ? 1 : -1);
  else if (key !== "Enter") return;
  else if (listed) entered = true; // once the list for this text has come
  else $("[aria-selected=true]", listOf(field))?.click();
  event.preventDefault();
});
let listed = "", entered = false;
on("input", ({ target }) => {
  if (target.matches?.(":is([role=search], [data-picker^='/']) [role=combobox]")) [listed, entered] = ["typed", false];
});
on("htmx:before:request", () => { listed &&= "asked"; });
on("htmx:after:swap", ({ detail: { ctx } }) => {
  const field = ctx.target?.matches?.("[role=listbox]") && $(`[aria-controls="${ctx.target.id}"]`);
  if (!field) return;
  pick(field, 0);
  if (listed === "typed") return; // the list of an earlier text
  if (entered) $("[aria-selected=true]", ctx.target)?.click();
  [listed, entered] = ["", false];
});
on("keydown", (event) => {
  const { code, ctrlKey, metaKey, altKey, shiftKey } = event, palette = $("#palette");
  if (code !== "KeyK" || !(ctrlKey || metaKey) || altKey || shiftKey || !palette) return;
  event.preventDefault();
  if (palette.open) palette.close();
  else open(palette);
});
// The palette shows what was chosen last first.
on("click", ({ target }) => {
  const link = target.closest?.("#palette-found a");
  if (!link) return;
  const url = link.getAttribute("href"), before = JSON.parse(stored.recent ?? "[]");
  const others = before.filter((one) => one[0] !== url).slice(0, 4);
  stored.recent = JSON.stringify([[url, $(".cut", link).textContent], ...others]);
});
on("submit", ({ target }) => { if (target.id === "sign-out") delete stored.recent; });
if (/Mac|iP(hone|ad|od)/.test(navigator.platform)) for (const one of $$(".search kbd")) one.textContent = "⌘ K";
const look = (root) => { const form = $("form[role=search]", root); if (form) window.htmx.trigger(form, "pick"); };
on("toggle", ({ target, newState }) => {
  if (newState !== "open" || !target.matches?.(".picker")) return;
  $("input", target).focus();
  look(target);
}, true);

// Toasts: {"toast": {"text", "tone", "action", "post"}} in HX-Trigger -------------------------------
function arm(toast) {
  let left;
  const stays = $("button:not([data-close])", toast) ? 10000 : 6000; // longer where there is an Undo
  const start = () => { left = setTimeout(() => toast.remove(), stays); };
  const stop = () => clearTimeout(left);
  for (const name of ["mouseenter", "focusin"]) toast.addEventListener(name, stop);
  for (const name of ["mouseleave", "focusout"]) toast.addEventListener(name, start);
  start();
}
function raise() {
  const shelf = $("#toasts");
  while (shelf.childElementCount > 3) shelf.firstElementChild.remove();
  if (shelf.matches(":popover-open")) shelf.hidePopover(); // above a dialog opened meanwhile
  if (shelf.childElementCount) shelf.showPopover();
}
function toast({ text, tone = "ok", action, post }) {
  const one = $("#toast-template").content.firstElementChild.cloneNode(true);
  one.dataset.tone = tone;
  $("p", one).textContent = text;
  if (action && post) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action;
    button.onclick = () => { one.remove(); window.htmx.ajax("POST", post, { source: document.body, swap: "none" }); };
    $("p", one).after(button);
  }
  $("#toasts").append(one);
  arm(one);
  raise();
}
on("toast", ({ detail }) => toast(detail));
for (const one of $$("#toasts .toast")) arm(one);
if ($("#toasts")?.childElementCount) raise();

// Answers that are no fragment never replace one ----------------------------------------------------
on("htmx:response:error", ({ detail: { ctx } }) => {
  const page = /^\s*<!doctype/i.test(ctx.text ?? "") && !ctx.select;
  if (ctx.response.status < 500 && !page) return;
  ctx.swap = "none";
  if (failPanel(ctx) || isStream(ctx)) return;
  toast({ text: words.failed, tone: "bad" });
});
// A panel that does not come says so in its place, with a way to ask again.
const failPanel = (ctx) => {
  const panel = ctx?.sourceElement?.closest?.("[data-panel]");
  const told = panel && $("[data-panel-failed]", panel);
  if (!told) return false;
  panel.removeAttribute("aria-busy");
  $(".skeleton", panel)?.remove();
  told.hidden = false;
  return true;
};
// The playground shows its own lines for lost streams and unsent messages.
const isStream = (ctx) => ctx.sourceElement?.matches?.("[hx-sse\\:connect]");
on("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx || failPanel(ctx) || isStream(ctx) || ctx.sourceElement?.matches("[data-composer]")) return;
  const text = navigator.onLine === false ? words.offline : ctx.request.method === "GET" ? words.failed : words.unsure;
  toast({ text, tone: "bad" });
});

// Forms name what they change beside Save, and ask before it is lost ---------------------------------
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
const remember = (root) => {
  for (const form of $$("form[data-guarded]", root)) {
    const values = valuesOf(form);
    initial.set(form, { values, labels: Object.fromEntries(Object.keys(values).map((name) => [name, labelOf(form, name)])) });
  }
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
on("submit", (event) => {
  const { target } = event;
  if (target.getAttribute("method") === "dialog" && !leaves(target.closest("dialog"))) event.preventDefault();
  if (!event.defaultPrevented) sent = target;
});
on("htmx:before:request", ({ detail: { ctx } }) => { if (ctx.request.method !== "GET") sent = ctx.sourceElement.closest("form"); });
on("htmx:after:swap", () => { sent = null; }); // it came back
addEventListener("beforeunload", (event) => { if (unsaved(document)) event.preventDefault(); });
remember(document);

// A long form's contents follow what is in sight
const links = $$(".contents a");
const follow = () => {
  const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const now = end ? links.at(-1) : links.findLast((link) => $(link.hash).getBoundingClientRect().top < 160) ?? links[0];
  for (const link of links) link.ariaCurrent = link === now ? "location" : null;
};
if (links.length) { on("scroll", follow, { passive: true }); follow(); }

// Forms: type the name to confirm; focus the first error ---------------------------------------------
const matches = (form) => $("[name=confirm]", form)?.value.trim() === form.dataset.confirmName;
const guard = (form) => { $("[type=submit][data-kind=danger]", form).disabled = !matches(form); };
on("input", ({ target }) => { const form = target.closest("[data-confirm-name]"); if (form) guard(form); });

// Sidebars fold away, and stay so in this browser (trusted.js) -----------------------------------------
const root = document.documentElement;
const foldedNames = () => root.dataset.folded.split(" ").filter(Boolean);
function showFolds() {
  const folded = foldedNames();
  for (const button of $$("[data-fold]")) button.ariaExpanded = !folded.includes(button.dataset.fold);
  const icons = $(".chat-list") || folded.includes("side");
  for (const link of $$(".nav a")) link.title = icons ? link.textContent.trim() : "";
}
function fold(name) {
  const folded = foldedNames(), others = folded.filter((one) => one !== name);
  root.dataset.folded = (others.length < folded.length ? others : [...folded, name]).join(" ");
  try { localStorage.setItem("folded", root.dataset.folded); } catch {} // storage is switched off
  showFolds();
}
on("click", ({ target }) => {
  const button = target.closest("[data-fold]");
  if (button) fold(button.dataset.fold);
});
showFolds();

// Composer ------------------------------------------------------------------------------------------
on("keydown", (event) => {
  const { target, key } = event;
  const composer = target.closest?.("[data-composer]");
  // isComposing: Enter that ends an input method's word; 229 is what Safari sends for it.
  if (key === "Enter" && composer && target.matches("textarea") && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    if (composer.closest("[data-ctrl-sends]") && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const send = $("[data-send]", composer);
    if (target.value.trim() && !composer.hasAttribute("data-running") && !send?.disabled) composer.requestSubmit(send);
  } else if (key === "Escape" && !event.defaultPrevented && !event.isComposing && !$("dialog:modal, :popover-open:not(#toasts)")) {
    if (stop() || !beginning) return;
    wanted = true;
    event.preventDefault();
  }
});
// Keys of one character, where they are not text: G and the letter of a page, / for its search -------
let going = 0;
on("keydown", (event) => {
  const { code, timeStamp } = event;
  if (!("letterKeys" in document.body.dataset) || event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select, dialog")) return;
  if (event.key === "[") $(".side [data-fold]")?.click();
  const target = event.key === "/" ? $("main input[type=search], #chat-q") : timeStamp < going && $(`[data-go=${code}]`);
  going = code === "KeyG" ? timeStamp + 1500 : 0;
  if (!target) return;
  event.preventDefault();
  if (target.matches("input")) target.focus();
  else target.click();
});

// Escape while a Send is on its way: its answer is stopped as soon as the page has it.
let beginning = false, wanted = false;
function stop() {
  const button = $("[data-running] [data-stop]");
  if (button && !button.disabled) button.click();
  return !!button;
}
const begins = (ctx) => /\/playground\/runs$/.test(ctx?.request?.action ?? "");
const begun = () => { beginning = wanted = false; };
on("htmx:before:request", ({ detail: { ctx } }) => { if (begins(ctx)) [beginning, wanted] = [true, false]; });
on("begun", () => { if (wanted) stop(); begun(); });
on("htmx:response:error", ({ detail: { ctx } }) => { if (begins(ctx)) begun(); });
on("htmx:error", ({ detail: { ctx } }) => { if (begins(ctx)) begun(); });

// Relative times --------------------------------------------------------------------------------------
function refreshTimes() {
  const patterns = (words.ago ?? "").split("|");
  for (const one of $$("time[data-ago]")) {
    const past = (Date.now() - Date.parse(one.dateTime)) / 1000;
    const [per, index] = Math.abs(past) < 60 ? [1, 0] : Math.abs(past) < 3600 ? [60, 1] : [3600, 2];
    if (Math.abs(past) >= 86400 || patterns.length < 6) continue;
    const size = Math.trunc(Math.abs(past) / per);
    one.textContent = size ? patterns[index + (past < 0 ? 3 : 0)].replace("%(n)s", size) : words.now;
  }
}
setInterval(refreshTimes, 60_000);

// A choice of time zones begins with the one that its reader lives in -----------------------------------
function offerOwnZone(select) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!own || select.options[0].value === own) return;
  const option = [...select.options].find(({ value }) => value === own) ?? new Option(own.replaceAll("_", " "), own);
  option.text = `${option.text.trim()} (${words.ownZone})`;
  select.prepend(option);
}

function ready(root) {
  const all = (selector) => root.matches?.(selector) ? [root, ...$$(selector, root)] : $$(selector, root);
  for (const one of all("[data-confirm-name]")) guard(one);
  for (const one of all(".tbl[data-list]")) widths.observe(one);
  for (const one of all("select:is([name=tz], [name=timezone])")) offerOwnZone(one);
  for (const one of all("[data-filters]")) one.ariaExpanded = document.documentElement.hasAttribute("data-filters");
}
on("htmx:after:process", ({ target }) => {
  ready(target);
  if (target !== document.body) focusError(target);
});
ready(document);
requestAnimationFrame(() => focusError(document)); // after the autofocus of the page itself
for (const one of $$("dialog[open]")) open(one);
