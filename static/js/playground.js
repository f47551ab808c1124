// What the server cannot know of the chat: drafts, a lost connection, keys that move the focus.
const $ = (selector, root = document) => root.querySelector(selector);
const on = (name, act, options) => document.addEventListener(name, act, options);

// A draft is kept per conversation until it is sent ---------------------------------------------
const key = (box) => `draft:${location.pathname.split("/")[2]}:${box.dataset.draft}`;
let saving;
on("input", ({ target }) => {
  if (!target.matches?.("[data-draft]")) return;
  clearTimeout(saving);
  saving = setTimeout(() => {
    if (target.value) localStorage.setItem(key(target), target.value);
    else localStorage.removeItem(key(target));
  }, 400);
});
on("htmx:after:request", ({ target, detail: { ctx } }) => {
  if (!target.matches?.("#composer") || ctx.response.status >= 400) return;
  clearTimeout(saving);
  const box = $("[data-draft]");
  if (box) localStorage.removeItem(key(box));
});
const box = $("[data-draft]");
if (box && !box.value) box.value = localStorage.getItem(key(box)) ?? "";
if (box && matchMedia("(pointer:fine)").matches) box.focus({ preventScroll: true });

// The price of the chosen model -------------------------------------------------------------------
on("change", ({ target }) => {
  if (target.id !== "chat-model") return;
  for (const one of document.querySelectorAll("[data-price]")) one.hidden = one.dataset.price !== target.value;
});

// One change of the page per painted frame: messages that arrive together are no long task -------
on("htmx:sse:before:message", ({ detail }) => detail.waitUntil(new Promise((done) => {
  requestAnimationFrame(done);
  setTimeout(done, 100); // a page out of sight paints nothing
})));

// A lost connection --------------------------------------------------------------------------------
function link(lost) {
  const line = $("#link-state");
  if (!line || lost === line.hasAttribute("data-lost-now")) return;
  line.toggleAttribute("data-lost-now", lost);
  line.textContent = lost ? line.dataset.lost : line.dataset.calm;
  if (lost && $("#live")) $("#live").textContent = line.dataset.lost;
}
on("htmx:sse:error", () => link(true));
on("htmx:sse:after:connection", () => link(false));
on("htmx:sse:close", () => link(false));

// Who sends looks at the end, wherever the reader was before ---------------------------------------
on("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.request?.method !== "POST" || !ctx.response || ctx.response.status >= 400) return;
  requestAnimationFrame(() => { const log = $("[data-log]"); log.scrollTop = log.scrollHeight; });
});

// Copy an answer -----------------------------------------------------------------------------------
on("click", ({ target }) => {
  const button = target.closest("[data-copy-answer]");
  if (!button) return;
  const text = $("[data-part=blocks]", button.closest(".msg")).innerText;
  navigator.clipboard.writeText(text).then(() => {
    button.toggleAttribute("data-done", true);
    setTimeout(() => button.removeAttribute("data-done"), 1600);
  }, () => {});
});

// Keys ---------------------------------------------------------------------------------------------
on("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.code === "ArrowUp" || event.code === "ArrowDown") {
    const all = [...document.querySelectorAll(".log .msg")];
    const at = all.indexOf(document.activeElement?.closest(".msg"));
    const next = at < 0 ? all.at(-1) : all[at + (event.code === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  } else if (event.code === "KeyN") $("[data-new-chat]")?.click();
  else if (event.code === "KeyM") $("#chat-model")?.focus();
  else return;
  event.preventDefault();
});
