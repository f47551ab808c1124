// Dates and files are shown in the page's words at rest; by itself the browser shows them in its own.
const words = document.querySelector("#words").dataset;
const month = new Intl.DateTimeFormat(document.documentElement.lang, { month: "short", timeZone: "UTC" });
const fill = (pattern, values) => pattern.replace(/{(\w+)}/g, (_, name) => values[name]);
const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: document.querySelector("#native").dataset.style });
const styled = new Promise((done) => { style.onload = done; });
document.head.append(style);

function showDate(input) {
  const face = input.parentElement, at = new Date(input.valueAsNumber);
  face.toggleAttribute("data-blank", !input.value);
  if (input.validity.badInput) return delete face.dataset.shown; // half of a date is in it
  if (!input.value) return face.dataset.shown = face.dataset.empty;
  const date = fill(words.date, { day: at.getUTCDate(), month: month.format(at), year: at.getUTCFullYear() });
  face.dataset.shown = input.type === "date" ? date : fill(words.dateTime, { date, time: input.value.slice(11, 16) });
}
function showFile(input) {
  const face = input.nextElementSibling, name = face.querySelector("[data-none]");
  face.hidden = false;
  name.textContent = input.files[0]?.name ?? name.dataset.none;
}
export async function show(input) {
  await styled;
  (input.type === "file" ? showFile : showDate)(input);
}

const FACES = ":is(.date-face, .file-field) > input";
for (const name of ["input", "change"]) {
  document.addEventListener(name, ({ target }) => { if (target.matches?.(FACES)) show(target); });
}
// Chromium reports each digit of a year as a change, once day and month are there.
document.addEventListener("change", (event) => {
  const { type, value } = event.target;
  if (type?.startsWith("date") && value && value < "1000") event.stopPropagation();
}, true);
document.addEventListener("click", ({ target }) => {
  if (target.matches?.(".date-face > input") && !target.readOnly) target.showPicker?.();
});
// The browser gave back what was typed.
addEventListener("pageshow", () => document.querySelectorAll(FACES).forEach(show));
