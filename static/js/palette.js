// Finds pages, actions and settings of the palette while words are typed, without asking the server,
// whose answer with objects takes their place when it comes. Ranks as config/shell/palette_ranking.py.
const FILLERS = new Set(["a", "an", "the", "to", "my", "of", "for", "in", "on", "by", "with", "is", "how", "i"]);
const TYPO_LETTERS_MIN = 4, BEST = 3, SHOWN = 6;
const split = new Map(); // the words of each text of the targets
function wordsIn(text) {
  if (!split.has(text)) split.set(text, text.toLowerCase().match(/[\p{L}\p{N}\p{M}_]+/gu) ?? []);
  return split.get(text);
}
const isAscii = (text) => /^[\x00-\x7f]*$/.test(text);
export function splitWords(query) {
  const parts = wordsIn(query), left = parts.filter((part) => !FILLERS.has(part));
  return left.length ? left : parts;
}
function isMadeOf(part, words) {
  for (let at = 0; at < part.length;) {
    let end = part.length;
    const least = Math.min(at + 2, part.length);
    while (end >= least && !words.some((word) => word.includes(part.slice(at, end)))) end -= 1;
    if (end < least) return false;
    at = end;
  }
  return true;
}
const begins = (part, words) => isAscii(part) ? words.some((word) => word.startsWith(part)) : isMadeOf(part, words);
// One letter wrong, too many or left out, or two neighbours exchanged.
function isOneOff(one, other) {
  let at = 0;
  while (at < Math.min(one.length, other.length) && one[at] === other[at]) at += 1;
  const left = one.slice(at), right = other.slice(at);
  const exchanged = left.length > 1 && left[0] === right[1] && left[1] === right[0] && left.slice(2) === right.slice(2);
  return left.slice(1) === right.slice(1) || left.slice(1) === right || left === right.slice(1) || exchanged;
}
const beginsNearly = (part, words) => part.length >= TYPO_LETTERS_MIN
  && [0, -1, 1].some((more) => words.some((word) => isOneOff(part, word.slice(0, part.length + more))));
export function rank(query, name, others) {
  const sought = query.trim().toLowerCase(), title = name.toLowerCase();
  if (sought === title) return 0;
  if (title.startsWith(sought)) return 1;
  const parts = splitWords(sought), words = wordsIn(title), more = [...words, ...others.flatMap(wordsIn)];
  if (!parts.length) return null;
  if (parts.every((part) => begins(part, words)) || (!isAscii(sought) && more.includes(sought))) return 2;
  if (parts.every((part) => begins(part, more))) return 3;
  if (title.includes(sought)) return 4;
  return parts.every((part) => begins(part, more) || beginsNearly(part, more)) ? 5 : null;
}

let known = [], best = "";
function learn(found) {
  const list = $("template[data-known]", found);
  if (!list) return;
  best = list.dataset.best;
  known = [...list.content.children].map((one) => ({
    group: one.dataset.group,
    item: $(".item", one),
    texts: [...one.querySelectorAll("p")].map((row) => [...row.children].map((text) => text.textContent)),
  }));
}
export function find(query) {
  const ranked = known.map((target) => {
    const [own, ...others] = target.texts;
    const ranks = [rank(query, own[0], target.texts.flat()), ...others.map((texts) => rank(query, texts[0], texts))];
    return { ...target, rank: Math.min(...ranks.map((one) => one ?? Infinity)) };
  });
  return ranked.filter((one) => one.rank < Infinity).sort((one, other) => one.rank - other.rank);
}
function group(name, targets) {
  const section = document.createElement("div"), label = document.createElement("div");
  section.setAttribute("role", "group");
  section.setAttribute("aria-label", name);
  Object.assign(label, { className: "menu-label", textContent: name });
  label.setAttribute("aria-hidden", "true");
  section.append(label, ...targets.map((one) => one.item.cloneNode(true)));
  return section;
}
document.addEventListener("input", ({ target }) => {
  if (target.id !== "palette-q" || !target.value.trim()) return;
  const all = find(target.value), groups = new Map();
  if (!all.length) return; // what the server finds is awaited
  for (const one of all.slice(BEST)) groups.set(one.group, [...groups.get(one.group) ?? [], one]);
  const sections = [...groups].map(([name, targets]) => group(name, targets.slice(0, SHOWN)));
  const list = $("#palette-found");
  list.replaceChildren(group(best, all.slice(0, BEST)), ...sections);
  list.dataset.answers = target.value; // Enter takes what is marked
  mark($(".item", list));
});
function mark(item) {
  for (const other of document.querySelectorAll("#palette-found [aria-selected=true]")) other.setAttribute("aria-selected", "false");
  item.setAttribute("aria-selected", "true");
  $("#palette-q").setAttribute("aria-activedescendant", item.id);
}
// What the reader has gone to by arrows stays marked when the server's answer comes.
const leads = (item) => item.getAttribute("href") ?? item.dataset.press;
let wanted = null;
document.addEventListener("keydown", ({ target, key }) => {
  if (target.id !== "palette-q") return;
  const item = /^Arrow(Up|Down)$/.test(key) && $("#palette-found [aria-selected=true]");
  wanted = item ? leads(item) : null;
});
document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.target?.id !== "palette-found") return;
  learn(ctx.target);
  const item = wanted && [...ctx.target.querySelectorAll(".item")].find((one) => leads(one) === wanted);
  if (item) mark(item);
});
learn($("#palette-found"));
