// Puts the stream of an answer into the page: text as text, its markup straight to its place, all
// else by htmx. A frame takes only as much as leaves the page time for its reader: neither
// changes that arrive together nor a change with the painting of the one before are one long task.
const CHANGE = /<hx-partial hx-target="([^"]+)" hx-swap="(\w+)">([^]*?)<\/hx-partial>/g;
const FRAME_CHARACTERS = 4000; // of HTML; see playground/rules/growing.py
const SIGNS = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&#13;": "\r" };
const unescaped = (text) => text.replace(/&(?:lt|gt|amp|#13);/g, (name) => SIGNS[name]);

const nextFrame = () => new Promise((done) => {
  requestAnimationFrame(() => setTimeout(done));
  setTimeout(done, 100); // a page out of sight paints nothing
});
let room = 0, waiting = 0;
// Once for each frame, and in a task of its own: what then only has to be painted takes half as long.
function layOut() {
  room = 0;
  document.querySelector("[data-log]")?.scrollHeight;
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
  else if (html.includes("<")) target.insertAdjacentHTML(swap, html);
  else if (target.lastChild?.nodeType === Node.TEXT_NODE) target.lastChild.appendData(unescaped(html));
  else target.append(unescaped(html));
}

async function put(changes, source) {
  if (!source.isConnected) return;
  for (const [whole, place, swap, html] of changes.matchAll(CHANGE)) {
    const target = document.querySelector(place);
    if (!target) continue;
    // htmx finds nothing to do in what it is to ignore, and there is no other markup of a model.
    const inert = target.closest("[hx-ignore]");
    const plain = swap === "innerHTML" && !/[<&]/.test(html);
    await take(inert || plain ? html.length : Math.max(html.length, FRAME_CHARACTERS / 3));
    if (!target.isConnected) continue;
    if (inert) change(target, swap, html);
    else if (plain) target.textContent = html;
    else await htmx.swap({ sourceElement: source, text: whole });
  }
}
let before = Promise.resolve();
function inTurn(changes, source) {
  waiting += 1;
  before = before.catch(() => {}).then(() => put(changes, source)).finally(() => {
    waiting -= 1;
    if (!waiting) layOut();
  });
  return before;
}
document.addEventListener("htmx:sse:before:message", ({ target, detail }) => {
  if (wanted === "sentences") speaker ??= new Speaker(target);
  detail.cancelled = true;
  detail.waitUntil(inTurn(detail.message.data, target));
});
// What a Send changes beside the log comes in frames of its own too.
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (!/\/playground\/runs$/.test(ctx.request.action) || ctx.response.status >= 400) return;
  const text = ctx.text;
  ctx.text = text.replace(CHANGE, "");
  inTurn(text, document.body).then(() => document.dispatchEvent(new Event("begun")));
});

// What a screen reader hears of it, if its user wants more than the state: whole sentences, every
// three seconds at the most; of a list or table whole parts; of code that it is there -----------------
const SENTENCE_END = /(?<!(?:^|\n)\s*\d{1,9})[.!?…]["'’”)\]*_`]*(?=\s)|[。！？…][”’」』）]*/g;
const region = document.querySelector("#spoken");
const unmarked = (markdown) => markdown
  .replace(/!?\[([^\]]*)\]\([^)]*\)?/g, "$1")
  .replace(/^[ \t]*(?:#{1,6}|>)[ \t]/gm, "")
  .replace(/[*`~$]|\b_|_\b/g, "");
function words(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  if (node.matches("figure.code")) return `${region.dataset.code}: ${node.querySelector("figcaption>span").textContent || "–"}.\n`;
  if (node.matches("[data-open]")) return /list|table/.test(node.dataset.kind) ? "" : unmarked(node.textContent);
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
    let text = block ? words(block) : "";
    if (open && block.querySelector(":scope>[data-open]:not([data-kind=list], [data-kind=table])")) {
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
const found = document.querySelector(".msg[data-state=answering]"); // when the page came: not read again
let wanted = localStorage.getItem("speech") ?? "status";
const hush = () => document.querySelector("#live").setAttribute("aria-live", wanted === "off" ? "off" : "polite");
const setting = document.querySelector("#set-speech");
if (setting) setting.value = wanted;
setting?.addEventListener("change", () => {
  wanted = setting.value;
  localStorage.setItem("speech", wanted);
  hush();
});
hush();
document.addEventListener("htmx:sse:close", () => { speaker?.say(true); speaker = undefined; });
