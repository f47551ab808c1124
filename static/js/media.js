// What the server cannot know of the media pages: files that are chosen, dropped or recorded, a mask
// that is painted, places in a sound.

// On a telephone the page that is open may stand beyond the edge of the tabs.
$(".media-tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Files are kept by the server as soon as they are chosen: what they cost can then be told
const PICTURES = ["picture", "picture2", "picture3", "picture4", "picture5"];
function give(files) {
  const upload = $("#media-upload");
  if (!upload || !$("#media-given") || !files.length) return;
  const carrier = new DataTransfer();
  carrier.items.add(files[0]);
  $("input[type=file]", upload).files = carrier.files;
  $("[name=model]", upload).value = $("#media-model").value;
  if ($("#media-given[data-several]")) {
    const free = PICTURES.find((role) => !$(`#media-given [name=${role}]`));
    if (!free) return;
    $("[name=role]", upload).value = free;
  }
  window.htmx.trigger(upload, "attach");
}
const given = () => $("#media-form")?.dispatchEvent(new Event("given"));
on("click", ({ target }) => {
  if (target.closest("[data-choose]")) $("#media-upload input[type=file]").click();
  const remove = target.closest("[data-remove-given]");
  if (!remove) return;
  const chooser = remove.closest(".media-drop")?.querySelector("[data-choose]");
  if ($("#media-given[data-several]")) remove.closest(".media-chip").remove();
  else $("#media-given").replaceChildren();
  chooser?.focus();
  given();
});
on("change", ({ target }) => { if (target.form?.id === "media-upload" && target.files?.length) give(target.files); });
on("recorded", ({ detail }) => give([detail]));
on("paste", (event) => {
  const { files, types } = event.clipboardData;
  // Office puts a picture beside its texts.
  if (!$("#media-given") || !files.length || (types.includes("text/plain") && types.includes("text/html"))) return;
  event.preventDefault();
  give(files);
});
on("dragover", (event) => { if (event.target.closest?.("[data-drop]") && event.dataTransfer.types.includes("Files")) event.preventDefault(); });
on("drop", (event) => {
  if (!event.target.closest?.("[data-drop]") || !event.dataTransfer.files.length) return;
  event.preventDefault();
  give(event.dataTransfer.files);
});
on("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.sourceElement?.id === "media-upload") { given(); for (const mask of $$("[data-mask]")) open(mask); }
  if (ctx.sourceElement?.id === "media-model") given();
});

// Ctrl Enter sends, as in a chat
on("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.closest?.("#media-form")) return;
  event.preventDefault();
  $("#media-form").requestSubmit($("#media-form [type=submit]"));
});

// A mask: what is painted becomes transparent in a picture of the same size
const UNDO_MAX = 20;
const masks = new WeakMap();
class Mask {
  constructor(root) {
    this.root = root;
    this.picture = $(".mask-picture img", root);
    this.canvas = $("canvas", root);
    this.ink = this.canvas.getContext("2d", { willReadFrequently: true });
    this.mode = "paint";
    this.before = [];
    this.cursor = null;
    this.ready = this.load();
  }

  async load() {
    await this.picture.decode().catch(() => {});
    this.canvas.width = this.picture.naturalWidth;
    this.canvas.height = this.picture.naturalHeight;
    const source = this.picture.dataset.maskSrc;
    if (!source) return;
    const stored = new Image();
    stored.src = source;
    await stored.decode().catch(() => {});
    this.ink.drawImage(stored, 0, 0, this.canvas.width, this.canvas.height);
    this.turn();
    this.tell();
  }

  // Painted is opaque here, where it is seen, and transparent in the mask.
  turn() {
    const { width, height } = this.canvas;
    const pixels = this.ink.getImageData(0, 0, width, height), colour = this.colour();
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data.set([...colour, pixels.data[at + 3] < 128 ? 255 : 0], at);
    }
    this.ink.putImageData(pixels, 0, 0);
  }

  colour() {
    const [r, g, b] = getComputedStyle(this.canvas).color.match(/[\d.]+/g).map(Number);
    return [r, g, b];
  }

  get radius() { return Math.max(this.canvas.width, this.canvas.height) * Number($("[data-brush-size]", this.root).value) / 200; }

  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (clientX - box.left) * this.canvas.width / box.width, y: (clientY - box.top) * this.canvas.height / box.height };
  }

  keep() {
    this.before.push(this.ink.getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.before.length > UNDO_MAX) this.before.shift();
    $("[data-mask-undo]", this.root).disabled = false;
  }

  stroke(from, to) {
    const { ink } = this;
    ink.globalCompositeOperation = this.mode === "paint" ? "source-over" : "destination-out";
    ink.strokeStyle = ink.fillStyle = `rgb(${this.colour().join(" ")})`;
    ink.lineWidth = this.radius * 2;
    ink.lineCap = "round";
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(to.x + 0.01, to.y);
    ink.stroke();
  }

  undo() {
    const last = this.before.pop();
    if (last) this.ink.putImageData(last, 0, 0);
    $("[data-mask-undo]", this.root).disabled = !this.before.length;
    this.write();
  }

  clear() {
    this.keep();
    this.ink.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.write();
  }

  painted() {
    const { data } = this.ink.getImageData(0, 0, this.canvas.width, this.canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) count += data[at] > 127;
    return count / (data.length / 4);
  }

  tell() {
    const told = $("[data-mask-told]", this.root), part = this.painted();
    told.textContent = part ? told.dataset.some.replace("%(n)s", Math.max(1, Math.round(part * 100))) : told.dataset.none;
    return part;
  }

  // The mask as a file of the form; none where nothing is painted.
  async write() {
    const file = $("[data-painted]", this.root), carrier = new DataTransfer();
    $("[name=mask]", this.root)?.remove(); // that of an earlier run
    if (this.tell()) {
      const { width, height } = this.canvas, sheet = new OffscreenCanvas(width, height), ink = sheet.getContext("2d");
      if (this.root.dataset.mask === "white") {
        // White on black, as Midjourney reads it.
        ink.drawImage(this.canvas, 0, 0);
        ink.globalCompositeOperation = "source-in";
        ink.fillStyle = "#fff";
        ink.fillRect(0, 0, width, height);
        ink.globalCompositeOperation = "destination-over";
        ink.fillStyle = "#000";
        ink.fillRect(0, 0, width, height);
      } else {
        ink.fillRect(0, 0, width, height);
        ink.globalCompositeOperation = "destination-out";
        ink.drawImage(this.canvas, 0, 0);
      }
      const blob = await sheet.convertToBlob({ type: "image/png" });
      carrier.items.add(new File([blob], "mask.png", { type: "image/png" }));
    }
    file.files = carrier.files;
  }

  // By keys: a cursor goes by steps, and Space paints where it stands, or while it goes.
  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const size = $("[data-brush-size]", this.root);
    if (!this.cursor) this.mark();
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) this.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "[" || event.key === "]") {
      size.value = Number(size.value) + (event.key === "]" ? 2 : -2);
      this.mark();
    } else if (event.key === " ") {
      if (!event.repeat) this.keep();
      this.pressed = true;
      this.stroke(this.cursor, this.cursor);
    } else if (steps[event.key]) {
      const [x, y] = steps[event.key], step = this.radius * (event.shiftKey ? 4 : 1), from = this.cursor;
      const within = (value, most) => Math.min(Math.max(value, 0), most);
      this.cursor = { x: within(from.x + x * step, this.canvas.width), y: within(from.y + y * step, this.canvas.height) };
      if (this.pressed) this.stroke(from, this.cursor);
      this.mark();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  mark() {
    if (!this.cursor) this.cursor = { x: this.canvas.width / 2, y: this.canvas.height / 2 };
    const ring = this.ring ??= this.canvas.parentElement.appendChild(Object.assign(document.createElement("div"), { className: "mask-cursor" }));
    const share = this.canvas.clientWidth / this.canvas.width || 0;
    ring.hidden = false;
    ring.style.left = `${this.cursor.x * share}px`;
    ring.style.top = `${this.cursor.y * share}px`;
    ring.style.width = ring.style.height = `${this.radius * 2 * share}px`;
  }
}
function open(root) {
  if (!masks.has(root)) masks.set(root, new Mask(root));
  return masks.get(root);
}
const maskOf = (target) => { const root = target.closest?.("[data-mask]"); return root && open(root); };
for (const root of $$("[data-mask]")) open(root);

on("pointerdown", (event) => {
  const mask = event.target.matches?.("[data-mask] canvas") && event.button === 0 && maskOf(event.target);
  if (!mask) return;
  event.target.setPointerCapture(event.pointerId);
  mask.keep();
  mask.last = mask.place(event);
  mask.stroke(mask.last, mask.last);
});
on("pointermove", (event) => {
  const mask = event.target.matches?.("[data-mask] canvas") && maskOf(event.target);
  if (!mask?.last) return;
  for (const one of event.getCoalescedEvents?.() ?? [event]) {
    const next = mask.place(one);
    mask.stroke(mask.last, next);
    mask.last = next;
  }
});
const lift = (event) => {
  const mask = event.target.matches?.("[data-mask] canvas") && maskOf(event.target);
  if (!mask?.last) return;
  mask.last = null;
  mask.write();
};
on("pointerup", lift);
on("pointercancel", lift);
on("keydown", (event) => { if (event.target.matches?.("[data-mask] canvas")) maskOf(event.target).key(event); });
on("keyup", (event) => {
  if (event.key !== " " || !event.target.matches?.("[data-mask] canvas")) return;
  const mask = maskOf(event.target);
  mask.pressed = false;
  mask.write();
});
on("focusin", ({ target }) => { if (target.matches?.("[data-mask] canvas") && target.matches(":focus-visible")) maskOf(target).mark(); });
on("focusout", ({ target }) => { if (target.matches?.("[data-mask] canvas") && maskOf(target).ring) maskOf(target).ring.hidden = true; });
on("click", ({ target }) => {
  const mask = maskOf(target);
  if (!mask) return;
  const brush = target.closest("[data-brush]");
  if (brush) {
    mask.mode = brush.dataset.brush;
    for (const one of $$("[data-brush]", mask.root)) one.setAttribute("aria-pressed", one === brush);
  } else if (target.closest("[data-mask-undo]")) mask.undo();
  else if (target.closest("[data-mask-clear]")) mask.clear();
});

// A line of a transcript plays its place
on("click", ({ target }) => {
  const line = target.closest("[data-seek]"), sound = line && document.getElementById(line.dataset.sound);
  if (!sound) return;
  sound.currentTime = Number(line.dataset.seek);
  sound.play();
});
on("timeupdate", ({ target }) => {
  if (!target.id?.startsWith("sound-")) return;
  const lines = $$(`[data-sound="${target.id}"]`);
  const now = lines.findLast((line) => Number(line.dataset.seek) <= target.currentTime);
  for (const line of lines) {
    if (line === now) line.setAttribute("aria-current", "true");
    else line.removeAttribute("aria-current");
  }
}, true);

// How long it has been, where something is being made
setInterval(() => {
  for (const one of $$("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(one.dataset.since)) / 1000));
    one.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
}, 500);
