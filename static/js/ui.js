// The shell's behaviour, by data attributes and delegated events.
const words = $("#words")?.dataset ?? {};
const say = (text) => { const live = $("#live"); if (live) live.textContent = text; };

// The open page stays in sight in a navigation or tabs that scroll.
$("#nav [aria-current]")?.scrollIntoView({ block: "nearest" });
for (const tab of $$(".tabs [aria-current]")) tab.scrollIntoView({ block: "nearest", inline: "center" });

// Dialogs and drawers
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
    import(dialog.dataset.finder);
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
on("htmx:after:swap", ({ detail }) => {
  const named = detail.ctx.target; // by HX-Retarget a selector
  const target = typeof named === "string" ? $(named) : named;
  const dialog = target?.closest?.("dialog");
  // What changes inside an open one leaves the focus with the reader.
  if (dialog?.id === "dialog" && dialog.childElementCount && (target === dialog || !dialog.open)) open(dialog);
});

// Clicks
on("click", (event) => {
  const { target } = event;
  const hit = (selector) => target.closest(selector);
  let found;
  if (target.matches("dialog.drawer, dialog.dlg")) { // the backdrop
    const box = target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) target.requestClose();
  } else if ((found = hit("[data-dialog]")) && $(found.dataset.dialog)) {
    event.preventDefault();
    open($(found.dataset.dialog));
  } else if ((found = hit("dialog [data-dialog-close]"))) {
    event.preventDefault(); // a link leads back where the form is a page of its own
    found.closest("dialog").close();
  } else if ((found = hit("[data-copy], [data-copy-text]"))) copy(found);
  else if ((found = hit("[data-wrap-toggle]"))) {
    found.ariaPressed = found.closest(".code").toggleAttribute("data-wrap");
  } else if ((found = hit("[data-press]"))) {
    found.closest("dialog").close();
    $(found.dataset.press).click();
  } else if ((found = hit("[data-theme-set]"))) setTheme(found);
  else if ((found = hit("[data-close]"))) found.closest(".toast")?.remove();
});

async function copy(button) {
  if ("done" in button.dataset) return; // its label says so
  const source = button.dataset.copy && $(button.dataset.copy), captions = $$("figcaption", source ?? button);
  for (const one of captions) one.hidden = true; // the words of their buttons
  const text = button.dataset.copyText ?? source?.value ?? source?.innerText ?? "";
  for (const one of captions) one.hidden = false;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no permission, or not a secure context
    if (source) getSelection().selectAllChildren(source);
    else toast({ text: words.uncopied, tone: "bad" });
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
  for (const one of $$("[data-theme-set]")) one.ariaPressed = one === button;
  document.dispatchEvent(new Event("themechange"));
}

// A menu stands under its button, inside the window
on("beforetoggle", ({ target, newState }) => {
  // The browser gives the focus back, but not to a menu from which another was opened.
  if (newState === "closed" && target.contains(document.activeElement)) $(`.menu:popover-open [popovertarget="${target.id}"]`)?.focus();
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

// Fields whose list is drawn by the server: arrows walk it, Enter takes
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
// A list for a text that was changed meanwhile is not shown; Enter waits for the next.
const ASKED = ":is([role=search], [data-picker^='/']) [role=combobox]";
const askedBy = ({ target }) => target?.matches?.("[role=listbox]") && $(`${ASKED}[aria-controls="${target.id}"]`);
let entered; // the field in which Enter waits
on("keydown", (event) => {
  const { target: field, key } = event;
  if (!field.matches?.("[role=combobox]") || event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
  const list = listOf(field);
  if (key === "ArrowDown" || key === "ArrowUp") pick(field, key === "ArrowDown" ? 1 : -1);
  else if (key !== "Enter") return;
  else if (field.matches(ASKED) && (list.dataset.answers ?? "") !== field.value) entered = field;
  else $("[aria-selected=true]", list)?.click();
  event.preventDefault();
});
on("input", ({ target }) => { if (target === entered) entered = null; });
on("htmx:before:swap", (event) => {
  const { ctx } = event.detail, field = askedBy(ctx);
  if (field && new URL(ctx.request.action, location.href).searchParams.get("q") !== field.value) event.preventDefault();
});
on("htmx:after:swap", ({ detail: { ctx } }) => {
  const field = askedBy(ctx) || (ctx.target?.matches?.("[role=listbox]") && $(`[aria-controls="${ctx.target.id}"]`));
  if (!field) return;
  pick(field, 0);
  ctx.target.dataset.answers = field.value;
  if (entered === field) $("[aria-selected=true]", ctx.target)?.click();
  entered = null;
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
on("submit", ({ target }) => {
  if ("signsOut" in target.dataset) for (const key of Object.keys(stored)) if (/^(recent|draft:)/.test(key)) delete stored[key];
});
if (/Mac|iP(hone|ad|od)/.test(navigator.platform)) for (const one of $$(".search kbd")) one.textContent = "⌘ K";
const look = (root) => { const form = $("form[role=search]", root); if (form) window.htmx.trigger(form, "pick"); };
on("toggle", ({ target, newState }) => {
  if (newState !== "open" || !target.matches?.(".picker")) return;
  $("input", target).focus();
  look(target);
}, true);

// Toasts: {"toast": {"text", "tone", "action", "post"}} in HX-Trigger
function arm(toast) {
  let left;
  const stays = $("button:not([data-close])", toast) ? 10000 : 6000; // longer where there is an Undo
  const start = () => {
    clearTimeout(left);
    left = setTimeout(() => toast.matches(":hover, :focus-within") ? start() : toast.remove(), stays);
  };
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

// Answers that are no fragment never replace one
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

// Sidebars fold away, and stay so in this browser (trusted.js)
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

// Keys outside of texts: G and the letter of a page, / for its search
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

// A form comes back to the filters of now
on("submit", ({ target }) => {
  for (const field of $$("[data-here]", target)) field.value = location.pathname + location.search;
});

// Relative times
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

on("htmx:after:process", ({ target }) => { if (target !== document.body) focusError(target); });
requestAnimationFrame(() => focusError(document)); // after the autofocus of the page itself
for (const one of $$("dialog[open]")) open(one);
