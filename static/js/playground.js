// What the server cannot know of the chat.

// Keys of the composer: Enter sends, Escape stops
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
// Escape while a Send is on its way: its answer is stopped as soon as the page has it.
let beginning = false, wanted = false;
function stop() {
  const button = $("[data-running] [data-stop]");
  if (button && !button.disabled) button.click();
  return button;
}
const begins = (ctx) => /\/playground\/runs$/.test(ctx?.request?.action ?? "");
const begun = () => { beginning = wanted = false; };
on("htmx:before:request", ({ detail: { ctx } }) => { if (begins(ctx)) [beginning, wanted] = [true, false]; });
on("begun", () => { if (wanted) stop(); begun(); followDraft(); tellTabs(); });
for (const name of ["htmx:response:error", "htmx:error"]) on(name, ({ detail: { ctx } }) => { if (begins(ctx)) begun(); });

// A question that is offered is written for the reader to send
on("click", ({ target }) => {
  const offered = target.closest("[data-fill]"), box = $("[data-composer] textarea");
  if (!offered || !box) return;
  box.value = offered.dataset.fill;
  box.focus();
  box.dispatchEvent(new Event("input", { bubbles: true }));
});

// Drafts, of a person and conversation, until they are sent
const key = (box) => `draft:${document.body.dataset.person}:${location.pathname.split("/")[2]}:${box.dataset.draft}`;
let saving;
function keep(text) {
  clearTimeout(saving);
  if (text?.value) localStorage.setItem(key(text), text.value);
  else if (text) localStorage.removeItem(key(text));
}
const temporary = () => $("[data-temporary]:not([hidden])");
on("input", ({ target }) => {
  if (!target.matches?.("[data-draft]") || temporary()) return;
  clearTimeout(saving);
  saving = setTimeout(keep, 400, target);
});
on("htmx:after:request", ({ target, detail: { ctx } }) => {
  if (!target.matches?.("#composer") || ctx.response.status >= 400) return;
  const box = $("[data-draft]"), sent = ctx.request.body.get("text");
  if (!box) return;
  localStorage.removeItem(key(box));
  // What was typed while it was on its way stays.
  if (box.value.startsWith(sent)) box.value = box.value.slice(sent.length).trimStart();
  box.dispatchEvent(new Event("input", { bubbles: true }));
});
// A refused message comes back with what was typed and attached while it was on its way.
on("htmx:before:swap", ({ target, detail: { ctx, tasks } }) => {
  const find = (what) => tasks.map(({ fragment }) => fragment?.querySelector?.(what)).find(Boolean);
  const box = $("[data-draft]"), back = find("[data-draft]");
  if (!target.matches?.("#composer") || ctx.response.status < 400 || !box || !back) return;
  const { value, selectionStart, selectionEnd } = box, sent = ctx.request.body.get("text");
  if (!value.startsWith(sent)) {
    const before = value ? `${sent}\n\n` : sent;
    box.value = before + value;
    box.setSelectionRange(before.length + selectionStart, before.length + selectionEnd);
  }
  back.textContent = box.value;
  if (!temporary()) keep(box);
  const files = ctx.request.body.getAll("file");
  const later = $$("#chips .file-chip").filter((chip) => !files.includes($("[name=file]", chip)?.value));
  find("#chips").append(...later);
});
const box = $("[data-draft]");
if (box && !box.value && !temporary()) box.value = localStorage.getItem(key(box)) ?? "";
if (box && matchMedia("(pointer:fine)").matches) box.focus({ preventScroll: true });

function writeAddress(name, value) {
  const url = new URL(location.href);
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
}

// A temporary chat: the address says so, no draft of it is kept, and its end is told to the server
on("change", ({ target }) => {
  if (target.id !== "set-temporary") return;
  $("[data-temporary]").hidden = !target.checked;
  writeAddress("tmp", target.checked && "1");
  clearTimeout(saving);
  localStorage.removeItem(key($("[data-draft]")));
  $("#live").textContent = target.checked ? $("[data-temporary]").textContent : "";
});
on("click", ({ target }) => {
  const link = target.closest("a[data-same-chat]");
  if (!link) return;
  if (!temporary()) { keep($("[data-draft]")); return; }
  const url = new URL(link.href);
  url.searchParams.set("tmp", "1");
  link.href = url;
});
addEventListener("pagehide", () => {
  const visit = $("#visit");
  if (!visit) return;
  const told = new FormData(visit);
  told.append("left", "1");
  navigator.sendBeacon(visit.action, told);
});
addEventListener("pageshow", ({ persisted }) => { if (persisted && $("#visit")) location.reload(); });

// Compare takes the chosen model along
on("change", ({ target }) => {
  if (target.id !== "chat-model") return;
  const compare = $("[data-compare]");
  if (compare) compare.search = `?m=${encodeURIComponent(target.value)}`;
});

// The bound follows what is typed
let asking;
// What refused other words stops nobody from sending these: the server looks at them itself.
function forgetBound(bound) {
  window.htmx?.trigger(bound, "htmx:abort", {}, false); // rising, it would abort the message's own request
  const blocked = $("[data-blocked]", bound);
  if (!blocked) return;
  blocked.removeAttribute("data-blocked");
  $("[data-send]").disabled = false;
}
const askBound = () => {
  clearTimeout(asking);
  if ($("#bound")) forgetBound($("#bound"));
  asking = setTimeout(() => {
    const bound = $("#bound"), text = $("#chat-text");
    if (!bound || $("#composer").hasAttribute("data-running")) return;
    if (text.value.trim() || $("#chips [name=file]")) window.htmx.trigger(bound, "bound");
  }, 400);
};
const ofComposer = (one) => one.form?.id === "composer";
for (const name of ["input", "change"]) on(name, ({ target }) => { if (ofComposer(target)) { askBound(); followDraft(); } });
on("htmx:after:swap", ({ detail: { ctx } }) => {
  const send = $("[data-send]");
  if (ctx.target?.id === "bound") send.disabled = !!$("[data-blocked]", ctx.target);
  if (ctx.target?.id === "chips" || ctx.sourceElement?.matches("[data-summarise]")) askBound();
  // Who sends looks at the end, wherever the reader was before.
  if (begins(ctx) && ctx.response?.status < 400) requestAnimationFrame(() => $("[data-log]").dispatchEvent(new Event("pin")));
});
if (box?.value) askBound();

// Who pays stands beside what it costs
on("input", ({ target }) => {
  if (!target.matches?.("[data-pays]")) return;
  const project = $("#pay-project").value.trim();
  $("[data-payer]").textContent = $("#pay-key").selectedOptions[0].textContent.trim();
  $("[data-payer-project]").textContent = project && ` · ${project}`;
});

// A chat that is longer than the context, a model that says nothing
on("click", ({ target }) => {
  if (target.closest("[data-switch-model], [data-other-model]")) pickModel();
  const trim = target.closest("[data-trim]") && $("#set-trim");
  if (!trim) return;
  trim.value = "oldest";
  trim.dispatchEvent(new Event("change", { bubbles: true }));
});

function pickModel() { $("[data-pick-for=chat-model], [data-pick-for=compare-model-0]")?.click(); }

// Panes of the panel
const chat = $(".chat");
function showPane(name) {
  chat.dataset.panel = name;
  for (const tab of $$("[data-pane-tab]")) tab.ariaCurrent = tab.dataset.paneTab === name ? "true" : null;
  writeAddress("panel", name);
  if (name) $(`[data-pane=${name}]`)?.focus({ preventScroll: true });
}
// Code and Debug show the request of the composer, until that of an answer is chosen.
const REQUEST_PANES = { code: "#code-pane", debug: "#debug" };
function showDraft() {
  const place = $(REQUEST_PANES[chat?.dataset.panel] ?? "#none");
  if (place && $("#composer")) window.htmx.trigger(place, "draft");
}
const draftShown = () => $(`${REQUEST_PANES[chat?.dataset.panel] ?? "#none"} [data-draft-request]`);
let drafting;
function followDraft() {
  if (!draftShown()) return;
  clearTimeout(drafting);
  drafting = setTimeout(() => { if (draftShown()) showDraft(); }, 400);
}
if (chat?.dataset.panel) showPane(chat.dataset.panel);
on("DOMContentLoaded", showDraft); // htmx is ready then
on("click", (event) => {
  const hit = (selector) => event.target.closest(selector);
  const tab = hit("[data-pane-tab]"), toggle = hit("[data-panel-toggle]");
  if (tab) { showPane(tab.dataset.paneTab); showDraft(); }
  else if (toggle) showPane(chat.dataset.panel ? "" : "params");
  else if (hit("[data-panel-close]")) showPane("");
  else {
    const opens = hit("[data-panel-open]");
    if (opens) {
      clearTimeout(drafting); // a draft on its way would take the place of the answer's request
      for (const place of Object.values(REQUEST_PANES)) window.htmx.trigger($(place), "htmx:abort");
      showPane(opens.dataset.panelOpen);
      opens.closest(".menu")?.hidePopover();
    }
    return;
  }
  event.preventDefault();
});

// Parameters: a slider beside its number, a dot for what was changed
on("input", ({ target }) => {
  if (target.dataset?.slides) {
    const number = document.getElementById(target.dataset.slides);
    number.value = target.value;
    number.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (target.matches?.("[data-param]")) {
    target.closest(".param").toggleAttribute("data-changed", target.value !== "");
    const slider = $(`[data-slides="${target.id}"]`);
    if (slider && target.value) slider.value = target.value;
  }
});

// Editors of JSON
on("click", ({ target }) => {
  const insert = target.closest("[data-insert]"), format = target.closest("[data-format]");
  const editor = $(insert?.dataset.insert ?? format?.dataset.format ?? "#none");
  if (!editor) return;
  if (insert) {
    const text = $(insert.dataset.text).innerHTML.trim();
    const both = editor.value.trim();
    try {
      const before = JSON.parse(both || "null"), more = JSON.parse(text);
      editor.value = Array.isArray(before) && Array.isArray(more) ? JSON.stringify([...before, ...more], null, 2) : text;
    } catch { editor.value = text; }
  } else {
    try { editor.value = JSON.stringify(JSON.parse(editor.value), null, 2); } catch { return; }
  }
  editor.dispatchEvent(new Event("input", { bubbles: true }));
});
on("change", ({ target }) => {
  if (target.dataset?.recheck) window.htmx.trigger($(target.dataset.recheck), "recheck");
});

// Files: by button, paste, drop or address, each in a request of its own
const noErrors = () => $("#composer-errors").replaceChildren();
function attach(files) {
  const form = $("#attach");
  if (form) noErrors();
  for (const file of form ? files : []) {
    const carrier = new DataTransfer();
    carrier.items.add(file);
    $("input[type=file]", form).files = carrier.files;
    window.htmx.trigger(form, "attach");
  }
}
on("click", ({ target }) => {
  if (target.closest("[data-attach]")) { $("#menu-attach").hidePopover(); $("#attach input[type=file]").click(); }
  const remove = target.closest("[data-remove-file]");
  if (remove) { remove.closest(".file-chip").remove(); askBound(); $("#chat-text").focus(); }
});
on("recorded", ({ detail }) => attach([detail]));
on("change", ({ target }) => { if (target.matches("#attach input[type=file]")) attach([...target.files]); });
on("paste", (event) => {
  const { files, types } = event.clipboardData;
  // Office puts a picture beside its texts.
  if (event.target.id !== "chat-text" || !files.length || (types.includes("text/plain") && types.includes("text/html"))) return;
  event.preventDefault();
  attach(files);
});
on("dragover", (event) => { if (event.target.closest("[data-drop]") && event.dataTransfer.types.includes("Files")) event.preventDefault(); });
on("drop", (event) => {
  if (!event.target.closest("[data-drop]") || !event.dataTransfer.files.length) return;
  event.preventDefault();
  attach(event.dataTransfer.files);
});
// A lost connection
function link(lost) {
  const line = $("#link-state");
  if (!line || lost === line.hasAttribute("data-lost-now")) return;
  line.toggleAttribute("data-lost-now", lost);
  line.textContent = line.dataset[lost ? "lost" : "calm"];
  if (lost && $("#live")) $("#live").textContent = line.dataset.lost;
}
on("htmx:sse:error", () => link(true));
on("htmx:sse:after:connection", () => { failedStarts = 0; link(false); });
on("htmx:sse:close", () => link(false));

// The extension reconnects a stream that broke, but gives up one whose first request failed.
let failedStarts = 0;
function startAgain({ detail: { ctx } }) {
  const stream = ctx?.sourceElement;
  if (!stream?.matches?.("[hx-sse\\:connect]") || stream._htmx?.sse || ctx.response?.status < 500) return;
  link(true);
  const again = () => { if (stream.isConnected) window.htmx.ajax("GET", stream.getAttribute("hx-sse:connect"), { source: stream }); };
  setTimeout(again, Math.min(500 * 2 ** failedStarts++, 30_000));
}
for (const name of ["htmx:error", "htmx:response:error"]) on(name, startAgain);

// A message that did not reach the server is sent again on demand, with its token, which counts once.
function unsent(why) {
  const line = $("#unsent");
  if (!line) return;
  line.hidden = !why;
  $("[data-why]", line).textContent = line.dataset[why] ?? "";
}
on("htmx:error", ({ target, detail: { ctx } }) => {
  if (!ctx || !target.matches?.("#composer")) return;
  keep($("[data-draft]"));
  unsent(navigator.onLine ? "unsure" : "offline");
});
on("htmx:before:request", ({ target }) => { if (target.matches?.("#composer")) unsent(""); });
addEventListener("online", () => { if ($("#unsent:not([hidden])")) unsent("online"); });

// Tabs of one chat stay in step: a change in one is announced to the others.
const openChat = () => location.pathname.match(/^(.*\/playground\/c\/\w+)$/)?.[1];
const tabs = new BroadcastChannel("chats");
const tellTabs = () => { if (openChat()) tabs.postMessage(openChat()); };
function lookAgain() {
  const seen = $("#seen")?.value;
  if (seen === undefined || !openChat() || $("#composer[data-running]")) return;
  if ($(".compare-columns")) return;
  window.htmx.ajax("GET", `${openChat()}/_f/in-step?seen=${seen}`, { target: "#turns", swap: "none" });
}
on("htmx:after:request", ({ detail: { ctx } }) => {
  if (/\/playground\/messages\//.test(ctx.request.action) && ctx.request.method !== "GET" && ctx.response.status < 400) tellTabs();
});
on("htmx:response:error", ({ target, detail: { ctx } }) => { if (target.matches?.("#composer") && ctx.response.status === 409) lookAgain(); });
on("visibilitychange", () => { if (document.visibilityState === "visible") lookAgain(); });
tabs.onmessage = ({ data }) => { if (data === openChat()) lookAgain(); };

// An open edit outlives a log that is drawn anew around it
let edits = [], focused;
on("htmx:before:swap", ({ detail: { ctx } }) => {
  edits = $$("[data-editing]").filter((one) => !one.contains(ctx.sourceElement));
  focused = document.activeElement;
});
on("htmx:after:swap", () => {
  for (const one of edits) {
    if (one.isConnected) continue;
    document.getElementById(one.id)?.replaceWith(one);
    for (const part of $$("*", one)) delete part._htmx; // taken apart
    window.htmx.process(one);
    if (one.contains(focused)) focused.focus();
  }
});

// What code draws, in a frame that can reach nothing
on("click", ({ target }) => {
  const button = target.closest("[data-preview]");
  if (!button) return;
  const figure = button.closest("figure"), shown = $("iframe", figure);
  button.ariaPressed = !shown;
  if (shown) { shown.remove(); return; }
  const frame = document.createElement("iframe"), [, ...place] = button.dataset.preview.split("-");
  frame.setAttribute("sandbox", "");
  frame.title = button.textContent;
  frame.src = `/o/${location.pathname.split("/")[2]}/playground/messages/${place[0]}/preview/${place[1]}/${place[2]}`;
  figure.append(frame);
});

// Rows that are ticked
on("change", ({ target }) => {
  const bulk = target.closest?.("[data-bulk]");
  if (!bulk) return;
  const rows = $$("tbody input[type=checkbox]:enabled", bulk);
  if (target.matches("[data-tick-all]")) for (const one of rows) one.checked = target.checked;
  const told = $("[data-ticked]", bulk), count = rows.filter((one) => one.checked).length;
  told.textContent = count ? told.dataset.words.replace("%(n)s", count) : "";
});

// Columns: on a telephone one at a time, under tabs that follow what is swiped
const columns = $(".compare-columns");
function showColumn(number) {
  const column = $$(".column")[number];
  column?.scrollIntoView({ block: "nearest", inline: "start" });
  column?.focus({ preventScroll: true });
  return column;
}
on("click", (event) => {
  const tab = event.target.closest("[data-column]");
  if (tab && showColumn(tab.dataset.column)) event.preventDefault();
});
on("change", ({ target }) => {
  const number = target.id?.match(/^compare-model-(\d)$/)?.[1];
  if (number) $(`[data-column="${number}"] b`).textContent = target.value;
});
if (columns) {
  const inSight = new IntersectionObserver((found) => {
    for (const { target, isIntersecting } of found) {
      const tab = $(`[data-column="${target.id.at(-1)}"]`);
      target.toggleAttribute("data-current", isIntersecting);
      tab.ariaCurrent = isIntersecting ? "true" : null;
    }
  }, { root: columns, rootMargin: "0px -50% 0px -49%" }); // who stands in the middle
  for (const column of $$(".column")) inSight.observe(column);
}

// A chat's name, in its place of the list: Enter keeps it, Esc leaves it
const seen = (all) => all.find((one) => one.getClientRects().length);
const openRow = () => seen($$(".chat-link[aria-current]"))?.closest(".chat-row");
let row, rowBefore, rowSelector, renamed;
function rename(asked) {
  const focused = document.activeElement?.closest(".chat-row");
  row = asked ?? focused ?? openRow();
  if (!row) { // the list is folded away, on a telephone a drawer
    seen($$("[data-list-open], [data-fold=chats]"))?.click();
    row = openRow();
  }
  if (!row || $("[data-name]", row)) return;
  rowBefore = [...row.childNodes];
  rowSelector = `.chat-link[href="${$(".chat-link", row).getAttribute("href")}"]`;
  window.htmx.ajax("GET", row.dataset.rename, { target: row, swap: "innerHTML" });
}
on("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.target === row && $("[data-name]", row)) $("[name=title]", row).select();
  else if (ctx.sourceElement?.matches("[data-name]")) renamed = rowSelector;
  const link = renamed && seen($$(renamed)); // in the list as it comes then
  if (link) { link.focus(); renamed = ""; }
});
on("keydown", (event) => {
  if (event.code !== "Escape" || event.isComposing || !event.target.closest("[data-name]")) return;
  event.preventDefault();
  row.replaceChildren(...rowBefore);
  $(".chat-link", row).focus();
}, true);
on("htmx:before:request", (event) => { if (event.target.matches?.("[data-looks-again]") && $(".chat-nav [data-name]")) event.preventDefault(); });
on("click", ({ target }) => {
  const button = target.closest("[data-renames]");
  if (!button) return;
  button.closest("dialog").close();
  rename(seen($$(`.chat-link[href="${button.dataset.renames}"]`))?.closest(".chat-row"));
});

// Keys
const keys = JSON.parse(chat?.dataset.keys ?? "{}");
const pane = (name) => { showPane(chat.dataset.panel === name ? "" : name); showDraft(); };
const acts = {
  chats: () => seen($$("[data-list-open], [data-fold=chats]"))?.click(),
  new_chat: () => $("[data-new-chat]")?.click(),
  model: pickModel,
  system: () => { showPane("params"); $("#set-system")?.focus(); },
  params: () => pane("params"),
  tools: () => pane("tools"),
  code: () => pane("code"),
  attach: () => $("[data-attach]")?.click(),
  edit: () => $$("[data-edit]").at(-1)?.click(),
  regenerate: () => $$("[data-regenerate]").at(-1)?.closest("form").requestSubmit(),
  rename: () => rename(),
};
on("keydown", (event) => {
  if (!chat) return;
  if (event.key === "?" && "letterKeys" in document.body.dataset && !event.target.closest("input, textarea, select, dialog")) {
    $("[data-keys-open]").click();
    event.preventDefault();
  }
  if (event.code === "F2" && keys.F2 && !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    acts[keys.F2]();
    event.preventDefault();
  }
  if (!event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.code === "ArrowUp" || event.code === "ArrowDown") {
    const all = $$(".log .msg");
    const at = all.indexOf(document.activeElement?.closest(".msg"));
    const next = at < 0 ? all.at(-1) : all[at + (event.code === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  } else if (event.code === "ArrowLeft" || event.code === "ArrowRight") {
    const side = event.code === "ArrowLeft" ? "before" : "after";
    const here = document.activeElement?.closest(".msg");
    const button = $(`[data-version=${side}]`, here ?? document) ?? $$(`[data-version=${side}]`).at(-1);
    if (!button) return;
    button.click();
  } else if (acts[keys[event.code]]) acts[keys[event.code]]();
  else if (!/^Digit[1-4]$/.test(event.code) || !showColumn(event.code.at(-1) - 1)) return;
  event.preventDefault();
});

// The menu of a chat: a hundred rows of the list are no work for htmx
on("click", (event) => {
  const link = event.target.closest("[data-chat-menu]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  window.htmx.ajax("GET", link.getAttribute("href"), { source: link, target: "#dialog", swap: "innerHTML" });
});

// A change of the list closes its dialog; who deletes the open chat leaves it
on("htmx:after:request", ({ target, detail: { ctx } }) => {
  const url = target.matches?.("[data-attach-url]") && ctx.response.status < 400 && $("[name=url]", target);
  if (url) noErrors();
  // What was typed while it was on its way stays.
  if (url && url.value === ctx.request.body.get("url")) { target.reset(); target.closest(".menu").hidePopover(); $("#chat-text").focus(); }
  const form = target.closest?.("[data-closes]");
  if (!form || ctx.response.status >= 400) return;
  form.closest("dialog")?.close();
  if (form.dataset.leaves) location.href = form.dataset.leaves;
});
on("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || !chat?.dataset.panel) return;
  if ($("dialog:modal, :popover-open:not(#toasts), [data-running]")) return;
  showPane("");
  $("#chat-text")?.focus();
});
