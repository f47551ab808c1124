// Puts the stream of an answer into the page: text as text, its markup straight to its place, all
// else by htmx. A frame takes only as much as leaves the page time for its reader.
const CHANGE = /<hx-partial\s+hx-target="([^"]+)"\s+hx-swap="(\w+)"\s*>([^]*?)<\/hx-partial>/g;
const FRAME_CHARACTERS = 4000; // of HTML; see playground/rendering/open_block.py
// Formulas take several times as long to lay out as text of their length.
const FORMULA_WEIGHT = 3;
const weightOf = (html) => html.length * (html.includes("<math") ? FORMULA_WEIGHT : 1);
const SIGNS = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&#13;": "\r" };
const unescaped = (text) => text.replace(/&(?:lt|gt|amp|#13);/g, (name) => SIGNS[name]);

const nextFrame = () => new Promise((done) => {
  if (document.hidden) done(); // nobody waits for this page, and its timers come once a second
  requestAnimationFrame(() => setTimeout(done));
  setTimeout(done, 100); // a page out of sight paints nothing
});
const nextTask = () => new Promise((done) => {
  const { port1, port2 } = new MessageChannel(); // a timer may come after the painting
  port1.onmessage = done;
  port2.postMessage("");
});
let room = 0, waiting = 0;
// Once for each frame, and not with its painting, which takes half as long then.
function layOut() {
  room = 0;
  $("[data-log]")?.scrollHeight;
}
async function take(characters) {
  if (characters > room) {
    if (room) layOut();
    await nextFrame();
    room = FRAME_CHARACTERS;
  }
  room -= characters;
}

function change(target, swap, html) {
  if (swap === "delete") target.remove();
  else if (swap === "innerHTML") target.innerHTML = html;
  else if (swap === "outerHTML") target.outerHTML = html;
  else if (swap === "outerMorph") setAttributes(target, html);
  else if (html.includes("<")) target.insertAdjacentHTML(swap, html);
  else if (target.lastChild?.nodeType === Node.TEXT_NODE) target.lastChild.appendData(unescaped(html));
  else target.append(unescaped(html));
}
function setAttributes(target, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const wanted = holder.content.firstElementChild;
  for (const name of target.getAttributeNames()) {
    if (name !== "data-htmx-powered" && !wanted.hasAttribute(name)) target.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (target.getAttribute(name) !== value) target.setAttribute(name, value);
  }
}
// htmx need not look at what it is to ignore, at attributes, nor where neither the new markup nor the
// old has its attributes or the focus.
const KEPT = "[data-htmx-powered], :focus";
function inert(target, swap, html) {
  if (target.closest("[hx-ignore]")) return true;
  if (swap === "outerMorph") return target.hasAttribute("hx-morph-skip-children");
  if (/\shx-(?!ignore)/.test(html)) return false;
  if (swap === "beforeend") return true;
  return !target.querySelector(KEPT) && (swap === "innerHTML" || !target.matches(KEPT));
}

// Stop freezes what an answer shows. The request tells the last message that was put, and the server
// keeps the answer up to there. Of a frozen answer only its end is put.
const GROWS = "[data-part=blocks], [id^=think-], [id^=tools-], [id^=stats-]";
const putIds = new WeakMap(); // a stream's element to the id of the last message that was put
function frozen(target, swap) {
  const answer = target.closest(".msg[data-stopping]");
  if (!answer || !target.closest(GROWS) || (target.matches("[id^=tools-]") && swap === "innerHTML")) return false;
  answer.toggleAttribute("data-withheld", true);
  return true;
}
on("htmx:config:request", ({ target, detail: { ctx } }) => {
  if (!/\/playground\/(runs|sends)\/\w+\/stop$/.test(ctx.request.action)) return;
  const place = target.closest(".msg, .column") ?? (target.matches("[data-stop]") ? document.body : null);
  const answers = place?.matches(".msg") ? [place] : place?.querySelectorAll(".msg[data-state=answering]");
  for (const answer of answers ?? []) answer.toggleAttribute("data-stopping", true);
  const stream = $(".msg[data-stopping] [hx-sse\\:connect], #stream");
  if (!answers || !stream) return;
  const begun = new URL(stream.getAttribute("hx-sse:connect"), location).searchParams.get("after");
  ctx.request.body.set("shown", putIds.get(stream) ?? begun);
  ctx.request.priority = "high";
});
// The whole answer was written before Stop reached the server: the rest is kept, and shown on demand.
function offerRest(answer) {
  if (answer.dataset.state !== "done") return;
  const rest = $("#rest").content.cloneNode(true);
  answer.querySelector("[id^=note-]").append(rest);
}

// The page's stream is open, or asked for again and again (streams.js).
const POLL_MS = 2000, RECONNECT_MS = 500; // the latter is the extension's own
let asked, connection;
async function adapt() {
  if (!asked) return;
  const { brief } = window.streams;
  const url = new URL(asked.action, location);
  if (brief) url.searchParams.set("brief", "1");
  else url.searchParams.delete("brief");
  asked.action = url.href;
  if (!connection) return;
  connection.config.reconnectDelay = brief ? POLL_MS : RECONNECT_MS;
  if (!brief) { connection.delayCanceller?.(); return; }
  // Asked once before the stream is closed: the server never takes the reader for gone.
  const told = await fetch(asked.action, { headers: asked.headers }).catch(() => undefined);
  told?.body?.cancel();
  if (told?.ok && window.streams.brief) connection?.reader?.cancel();
}
on("streams", adapt);
on("htmx:config:request", ({ target, detail: { ctx } }) => {
  if (!target.matches("[hx-sse\\:connect]")) return;
  asked = ctx.request;
  window.streams.begin();
});
on("htmx:sse:before:connection", ({ detail }) => {
  if (connection === detail.connection) return;
  ({ connection } = detail);
  adapt();
});
on("htmx:sse:close", () => {
  asked = connection = undefined;
  window.streams.end();
});
on("visibilitychange", () => {
  if (!connection?.config.pauseOnBackground) return;
  if (document.hidden) window.streams.end();
  else window.streams.begin();
});

async function put(changes, source, id) {
  if (!source.isConnected) return;
  let begun = false; // what is begun is put whole: the server counts messages
  for (const [, place, swap, html] of changes.matchAll(CHANGE)) {
    for (const target of $$(place)) {
      if (!begun && frozen(target, swap)) continue;
      const plain = inert(target, swap, html);
      const weight = plain ? weightOf(html) : FRAME_CHARACTERS;
      await take(weight);
      if (!target.isConnected || (!begun && frozen(target, swap))) continue;
      begun ||= !!target.closest(GROWS);
      if (begun) putIds.set(source, id);
      const withheld = target.matches(".msg[data-withheld]");
      if (plain) change(target, swap, html);
      else await htmx.swap({ sourceElement: source, target, swap, text: html });
      if (withheld && target.isConnected) offerRest(target);
      if (weight < FRAME_CHARACTERS) continue;
      await nextTask();
      layOut();
    }
  }
}
let before = Promise.resolve();
function inTurn(changes, source, id) {
  waiting += 1;
  before = before.catch(() => {}).then(() => put(changes, source, id)).finally(() => {
    waiting -= 1;
    if (!waiting) layOut();
  });
  return before;
}
on("htmx:sse:before:message", ({ target, detail }) => {
  if (wanted === "sentences") speaker ??= new Speaker(target);
  detail.cancelled = true;
  detail.waitUntil(inTurn(detail.message.data, target, detail.message.id));
});
// What a Send changes comes in frames of its own too.
on("htmx:after:request", ({ detail: { ctx } }) => {
  if (!/\/playground\/runs$/.test(ctx.request.action) || ctx.response.status >= 400) return;
  const { text } = ctx;
  Object.assign(ctx, { text: "", swap: "none" });
  inTurn(text, document.body).then(() => {
    document.dispatchEvent(new Event("begun"));
    // An answer may have ended before the page heard of it. No stream is opened then.
    if (!$("[hx-sse\\:connect]")) answered();
  });
});
// The balance in the header follows it.
const answered = () => document.body.dispatchEvent(new Event("answered"));
on("htmx:sse:close", answered);

// What a screen reader hears of it, if its user wants more than the state: whole sentences, every
// three seconds at the most; of a list or table whole parts; of code that it is there
const SENTENCE_END = /(?<!(?:^|\n)\s*\d{1,9})[.!?…]["'’”)\]*_`]*(?=\s)|[。！？…][”’」』）]*/g;
const region = $("#spoken");
function words(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  if (node.matches("figure.code")) return `${region.dataset.code}: ${node.querySelector("figcaption>span").textContent || "–"}.\n`;
  const inside = [...node.childNodes].map(words).join("");
  if (node.matches("th, td")) return `${inside}, `;
  return node.matches("li, p, tr, h3, h4, h5, h6") ? `${inside.trim()}\n` : inside;
}
const line = (text) => text.replace(/\s+/g, " ").trim();

class Speaker {
  constructor(source) {
    const message = source.closest(".msg");
    this.blocks = message?.querySelector("[data-part=blocks]");
    const known = message === found ? this.all() : [];
    this.number = Math.max(0, known.length - 1);
    this.said = this.read(known[this.number]);
    this.timer = setInterval(() => this.say(false), 3000);
  }
  all() { return this.blocks?.querySelectorAll("[data-b]") ?? []; }
  read(block, open) {
    const parts = open && block.querySelectorAll(":scope>:is(ul, ol)>li, :scope>table>tbody>tr");
    let text = "";
    if (parts?.length) text = [...parts].slice(0, -1).map(words).join("");
    else if (block && !(open && block.querySelector("table"))) text = words(block);
    if (open && !parts.length && !block.querySelector("figure")) {
      text = text.trimEnd(); // what a point at the end ends is not known yet
      const ends = [...text.matchAll(SENTENCE_END)].map((end) => end.index + end[0].length);
      text = text.slice(0, ends.at(-1) ?? 0);
    }
    return line(text);
  }
  say(ended) {
    const all = this.all(), fresh = [];
    for (; this.number < all.length; this.number += 1, this.said = "") {
      const open = !ended && this.number === all.length - 1;
      const text = this.read(all[this.number], open);
      // A closed block has lost its marks: where its words do not begin as those that were said, they
      // go on behind the last of these.
      const last = this.said.slice(-16);
      const at = text.startsWith(this.said) ? this.said.length : text.lastIndexOf(last) + last.length;
      fresh.push(text.slice(at));
      if (!open) continue;
      if (text) this.said = text;
      break;
    }
    if (fresh.join("")) region.textContent = line(fresh.join(" "));
    if (ended) clearInterval(this.timer);
  }
}
let speaker;
const found = $(".msg[data-state=answering]"); // when the page came: not read again
let wanted = localStorage.getItem("speech") ?? "status";
const hush = () => { $("#live").ariaLive = wanted === "off" ? "off" : "polite"; };
const setting = $("#set-speech");
if (setting) setting.value = wanted;
setting?.addEventListener("change", () => {
  wanted = setting.value;
  localStorage.setItem("speech", wanted);
  hush();
});
hush();
on("htmx:sse:close", () => { speaker?.say(true); speaker = undefined; });
