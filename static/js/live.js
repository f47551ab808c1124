// "Live": puts the requests that end while the page is open on top of the log. The server names a
// place with each message; whoever comes back with it sees nothing twice. What is too much for one
// message, as after a pause, is counted beside a link to the list.
const ROWS_MAX = 200;
const SAY_MS = 5000; // so often is it said how many came
const RETRIES_MAX = 8;
const POLL_MS = 2000; // between two looks of a tab without a stream of its own

let wanted = false;
let source = null;
let shown = null; // the list that the place belongs to, by its button
let place = "";
let decimals = ""; // of its costs
let query = "";
let retries = 0;
let timer = 0;
let came = 0;
let missed = 0; // since the list was read
let saying = 0;
let lost = 0;

function say(text) {
  const region = $("[data-live-said]");
  if (region && region.textContent !== text) region.textContent = text;
}
function sayHowMany() {
  if (saying) return;
  const said = came;
  say($("[data-live-said]")?.dataset.new.replace("%(n)s", said) ?? "");
  saying = setTimeout(() => { saying = 0; if (wanted && came !== said) sayHowMany(); }, SAY_MS);
}
function sayMissed() {
  const line = $("[data-live-missed]");
  if (!line) return;
  line.hidden = false;
  const link = line.firstElementChild;
  link.href = location.href; // by the filter that holds
  link.textContent = line.dataset.liveMissed.replace("%(n)s", missed);
}
function press(button) { button?.setAttribute("aria-pressed", wanted); }

function close() {
  source?.close();
  source = null;
  clearTimeout(timer);
  clearTimeout(lost);
  if (!wanted || document.hidden) window.streams.end();
}
function turnOff(text) {
  wanted = false;
  close();
  press($("[data-live]"));
  say(text);
}
// As what is on the page says now: its list, its filter, whether anybody sees it.
function follow() {
  const button = $("[data-live]");
  if (!wanted || !button || document.hidden) { close(); return; }
  if (source && button === shown && query === location.search) return;
  if (button !== shown) { shown = button; missed = 0; ({ place, decimals } = button.dataset); }
  press(button);
  close();
  open(button.dataset.live);
}
function open(address) {
  query = location.search;
  const url = new URL(address, location.href);
  url.search = query;
  url.searchParams.set("place", place);
  url.searchParams.set("decimals", decimals);
  const own = source = new EventSource(url);
  const { brief } = window.streams;
  for (const [name, act] of Object.entries(ACTS)) {
    own.addEventListener(name, ({ data, lastEventId }) => {
      if (own !== source) return;
      if (lastEventId) place = lastEventId;
      act(data);
      if (!brief || own !== source) return;
      close(); // see streams.js: the first message has all that is new
      timer = setTimeout(follow, POLL_MS);
    });
  }
  own.addEventListener("open", () => { retries = 0; clearTimeout(lost); sayHowMany(); });
  own.addEventListener("error", () => {
    if (own !== source) return;
    clearTimeout(lost);
    lost = setTimeout(() => say($("[data-live-said]")?.dataset.lost ?? ""), 3000);
    if (own.readyState !== EventSource.CLOSED) return; // it comes back by itself
    source = null;
    retries += 1;
    if (retries > RETRIES_MAX) turnOff($("[data-live-said]")?.dataset.off ?? "");
    else timer = setTimeout(follow, Math.min(30, 2 ** retries) * 1000);
  });
}
function readAnew() {
  window.htmx.ajax("GET", `${location.pathname}${location.search}`, { target: "#results", swap: "outerHTML" });
}

const addressOf = (row) => row.querySelector("a")?.getAttribute("href");
function put(html) {
  const body = $("#rows tbody");
  if (!body) { close(); readAnew(); return; } // the first of all
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const more = holder.content.querySelector("[data-missed]");
  if (more) { missed += Number(more.dataset.missed); more.remove(); sayMissed(); }
  const there = new Map([...body.rows].map((row) => [addressOf(row), row]));
  const fresh = [];
  for (const row of [...holder.content.children]) {
    const former = there.get(addressOf(row)); // it ran, or it ended while the page was read
    if (!former) fresh.push(row);
    else if (former.innerHTML !== row.innerHTML) {
      const focused = former.contains(document.activeElement);
      former.replaceWith(row);
      if (focused) row.querySelector("a")?.focus();
    }
  }
  for (const row of fresh) row.dataset.new = "";
  body.prepend(...fresh);
  for (const row of [...body.rows].slice(ROWS_MAX)) if (!row.contains(document.activeElement)) row.remove();
  came += fresh.length;
  sayHowMany();
}
const ACTS = {
  rows: put,
  place() {},
  behind: readAnew,
  ended: turnOff,
};

document.addEventListener("click", (event) => {
  const { target } = event;
  if (wanted && target.closest?.("[data-live-missed]") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault(); // and it goes on from the list as it is now
    readAnew();
    return;
  }
  const button = target.closest?.("[data-live]");
  if (!button) return;
  if (wanted) {
    turnOff("");
    if (came) readAnew(); // with its pages, its count and its bars as they are now
    return;
  }
  wanted = true;
  came = retries = 0;
  press(button);
  window.streams.begin();
  follow();
});
document.addEventListener("visibilitychange", () => { if (wanted && !document.hidden) window.streams.begin(); follow(); });
document.addEventListener("streams", () => { close(); follow(); });
for (const name of ["process", "history:push", "history:replace"]) {
  document.addEventListener(`htmx:after:${name}`, follow);
}
