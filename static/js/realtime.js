// A realtime connection in the browser: the microphone as PCM16, what is said back in a queue, and the
// events of OpenAI's realtime API between. The server gives a ticket for it, and tells what it costs.
const root = $("#realtime"), form = $("#realtime-form");
const EVENTS_MAX = 300, LEAD_S = 0.06;

// Sound
const bytesOf = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const textOf = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));

// What is said, one piece behind the other; `cut` tells how much of it was heard.
class Speaker {
  constructor(context, rate) {
    this.context = context;
    this.rate = rate;
    this.playing = new Set();
    this.ends = 0;
  }

  play(item, bytes) {
    const samples = new Int16Array(bytes.buffer, 0, bytes.length >> 1);
    if (!samples.length) return;
    const sound = this.context.createBuffer(1, samples.length, this.rate), channel = sound.getChannelData(0);
    for (let at = 0; at < samples.length; at += 1) channel[at] = samples[at] / 0x8000;
    const source = new AudioBufferSourceNode(this.context, { buffer: sound });
    source.connect(this.context.destination);
    const begins = Math.max(this.context.currentTime + LEAD_S, this.ends);
    if (this.item !== item) { this.item = item; this.queued = 0; this.heardFrom = begins; }
    this.ends = begins + sound.duration;
    this.queued += sound.duration;
    this.playing.add(source);
    source.onended = () => { this.playing.delete(source); if (!this.playing.size) this.onquiet?.(); };
    source.start(begins);
  }

  get speaks() { return this.playing.size > 0; }

  cut() {
    const heard = Math.min(this.queued, Math.max(0, this.context.currentTime - this.heardFrom));
    for (const source of this.playing) { source.onended = null; source.stop(); }
    this.playing.clear();
    this.ends = 0;
    return { item: this.item, ms: Math.round(heard * 1000) };
  }
}

const FAULTS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing" };
async function openMicrophone(context, rate, heard) {
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  await context.audioWorklet.addModule(root.dataset.worklet); // before what must be closed if it fails
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const ear = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0, processorOptions: { rate } });
  ear.port.onmessage = ({ data }) => heard(data);
  const source = context.createMediaStreamSource(stream);
  source.connect(ear);
  return () => {
    ear.port.onmessage = null;
    source.disconnect();
    for (const track of stream.getTracks()) track.stop();
  };
}

// The page
const part = Object.fromEntries(
  ["mic", "level", "hush", "say", "clock", "spent", "held", "entries", "download", "events", "events-n", "state-word"]
    .map((name) => [name, root && $(`[data-${name}]`, root)]),
);
const clockText = (ms) => { const s = Math.floor(ms / 1000); return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`; };
const tell = (text, tone = "bad") => document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone } }));
const say = (text) => { const live = $("#live"); if (live) live.textContent = text; };

class Transcript {
  constructor() {
    this.entries = new Map();
    part.entries.replaceChildren();
    part.events.replaceChildren();
    this.count = 0;
  }

  // The line of an item, made when it is first heard of.
  line(id, who) {
    const known = this.entries.get(id);
    if (known) return known;
    const item = document.createElement("li"), name = document.createElement("b"), text = document.createElement("p");
    item.dataset.who = who;
    name.textContent = who === "you" ? root.dataset.you : root.dataset.model;
    text.dir = "auto";
    item.append(name, text);
    part.entries.append(item);
    this.entries.set(id, text);
    part.download.disabled = false;
    return text;
  }

  write(id, who, words) {
    const line = this.line(id, who), log = part.entries.parentElement;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    line.append(words);
    if (follows) log.scrollTop = log.scrollHeight;
  }

  note(id, words) {
    const line = this.entries.get(id);
    if (!line || line.querySelector("small")) return;
    line.append(" ", Object.assign(document.createElement("small"), { className: "muted", textContent: `(${words})` }));
  }

  event(from, event) {
    this.count += 1;
    part["events-n"].textContent = this.count;
    const shown = JSON.stringify(event, (name, value) =>
      ["audio", "delta"].includes(name) && typeof value === "string" && value.length > 200 ? `… ${value.length}` : value);
    const row = document.createElement("li");
    row.textContent = `${from === "page" ? "→" : "←"} ${shown.slice(0, 2000)}`;
    part.events.append(row);
    if (part.events.childElementCount > EVENTS_MAX) part.events.firstElementChild.remove();
  }
}

// One connection
class Connection {
  constructor(told) {
    const rate = Number(root.dataset.rate);
    this.rate = rate;
    this.auto = told.session.audio.input.turn_detection !== null;
    this.transcript = new Transcript();
    this.requests = new Set();
    this.running = new Set();
    this.cut = new Set();
    this.error = null;
    this.settings = told.session;
    // One that a click has begun may be heard.
    this.context = new AudioContext();
    this.speaker = new Speaker(this.context, rate);
    this.speaker.onquiet = () => this.show();
    const url = new URL(told.path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url, told.protocols);
    this.socket.onopen = () => this.opened();
    this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    this.socket.onclose = (event) => this.closed(event);
    this.state("connecting");
  }

  state(name) {
    root.dataset.state = name;
    part["state-word"].textContent = root.dataset[name];
    const open = name === "open";
    for (const one of [part.mic, part.say, $("#realtime-text")]) one.disabled = !open;
    $("#realtime-settings").disabled = name !== "ended";
    $("[data-start]", form).hidden = name !== "ended";
    $("[data-end]", form).hidden = name === "ended";
    this.show();
  }

  show() { part.hush.hidden = !(root.dataset.state === "open" && (this.speaker.speaks || this.running.size)); }

  opened() {
    const began = Date.now();
    this.ticking = setInterval(() => { part.clock.textContent = clockText(Date.now() - began); }, 500);
    this.state("open");
    // What is charged apart may be refused alone.
    const { transcription, ...input } = this.settings.audio.input;
    this.send({ type: "session.update", session: { ...this.settings, audio: { ...this.settings.audio, input } } });
    if (transcription) this.send({ type: "session.update", session: { type: "realtime", audio: { input: { transcription } } } });
    $("#realtime-text").focus();
  }

  send(event) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify(event));
    this.transcript.event("page", event);
  }

  // What one says or writes
  write(text) {
    this.interrupt();
    const id = `msg_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
    this.transcript.write(id, "you", text);
    const content = [{ type: "input_text", text }];
    this.send({ type: "conversation.item.create", item: { id, type: "message", role: "user", content } });
    this.send({ type: "response.create" });
  }

  async listen() {
    if (this.shut) { this.mute(); return; }
    if (!this.auto) this.interrupt();
    part.mic.disabled = true;
    try {
      await this.context.resume();
      this.shut = await openMicrophone(this.context, this.rate, ({ buffer, level }) => {
        part.level.value = Math.min(1, level * 4);
        this.heard = true;
        this.send({ type: "input_audio_buffer.append", audio: textOf(buffer) });
      });
    } catch (fault) {
      tell(root.dataset[navigator.mediaDevices ? FAULTS[fault.name] ?? "busy" : "insecure"]);
    }
    part.mic.disabled = root.dataset.state !== "open";
    if (this.shut && root.dataset.state !== "open") this.deafen();
    this.showMicrophone();
    part.mic.focus();
  }

  mute() {
    this.deafen();
    if (this.auto || !this.heard) return;
    this.heard = false;
    this.send({ type: "input_audio_buffer.commit" });
    this.send({ type: "response.create" });
  }

  deafen() {
    this.shut?.();
    this.shut = null;
    this.showMicrophone();
  }

  showMicrophone() {
    part.mic.setAttribute("aria-pressed", Boolean(this.shut));
    part.level.hidden = !this.shut;
  }

  // What is said is cut where one has heard it; the rest was never said to them.
  interrupt() {
    for (const id of this.running) this.send({ type: "response.cancel", response_id: id });
    this.hush();
  }

  hush() {
    if (!this.speaker.speaks) return;
    const { item, ms } = this.speaker.cut();
    this.cut.add(item);
    this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: ms });
    this.transcript.note(item, root.dataset.cut);
    say(root.dataset.interrupted);
    this.show();
  }

  // What comes
  hear(event) {
    this.transcript.event("server", event);
    switch (event.type) {
      case "weir.hold":
      case "weir.charge":
        this.requests.add(event.request);
        part.spent.textContent = event.spent;
        part.held.textContent = event.held;
        break;
      case "input_audio_buffer.speech_started":
        this.hush();
        break;
      case "input_audio_buffer.committed":
        this.transcript.write(event.item_id, "you", "");
        this.transcript.note(event.item_id, root.dataset.spoken);
        break;
      case "conversation.item.input_audio_transcription.completed":
        this.transcript.line(event.item_id, "you").textContent = event.transcript;
        break;
      case "response.created":
        this.running.add(event.response.id);
        this.show();
        break;
      case "response.output_text.delta":
      case "response.text.delta":
      case "response.output_audio_transcript.delta":
      case "response.audio_transcript.delta":
        if (!this.cut.has(this.itemOf(event))) this.transcript.write(this.itemOf(event), "model", event.delta);
        break;
      case "response.output_audio.delta":
      case "response.audio.delta":
        this.transcript.line(this.itemOf(event), "model");
        if (!this.cut.has(this.itemOf(event))) this.speaker.play(this.itemOf(event), bytesOf(event.delta));
        this.show();
        break;
      case "response.done":
        this.running.delete(event.response.id);
        if (event.response.status === "failed") tell(event.response.status_details?.error?.message ?? root.dataset.close1011);
        this.show();
        break;
      case "error":
        this.error = event.error;
        tell(event.error.message);
        break;
      default:
    }
  }

  itemOf(event) { return event.item_id ?? event.response_id; }

  closed({ code: ended, reason }) {
    const code = this.left ? 1000 : ended; // one that did not open yet ends as if it were lost
    clearInterval(this.ticking);
    if (this.speaker.speaks) this.speaker.cut();
    this.running.clear();
    this.deafen();
    this.context.close();
    part.held.textContent = "–";
    this.state("ended");
    const known = root.dataset[`close${code}`], banner = document.createElement("div"), words = document.createElement("div");
    banner.className = "banner";
    banner.dataset.code = code;
    banner.dataset.tone = code === 1000 || code === 1005 ? "info" : "bad";
    const title = document.createElement("b"), more = code === 1000 ? "" : this.error?.message ?? reason;
    title.textContent = known ?? root.dataset[code === 1005 ? "close1000" : "close1006"];
    words.append(title, more ? ` ${more}` : "");
    if (this.error?.code && more) words.append(" ", Object.assign(document.createElement("code"), { textContent: this.error.code }));
    banner.append(words);
    $("#realtime-closed").replaceChildren(banner);
    say(title.textContent);
    connection = null;
    this.fetchCharges();
  }

  fetchCharges() {
    if (!this.requests.size) return;
    const books = $("#realtime-books");
    const named = (value) => Object.assign(document.createElement("input"), { type: "hidden", name: "request", value });
    $("[data-requests]", books).replaceChildren(...[...this.requests].map(named));
    // The books are written behind the close.
    setTimeout(() => window.htmx.trigger(books, "ended"), 400);
  }

  end() {
    this.left = true;
    this.socket.close(1000);
  }
}

const transcriptText = () =>
  [...part.entries.children].map((row) => `${$("b", row).textContent}: ${$("p", row).textContent.trim()}`).join("\n\n");

let connection = null;
async function start() {
  const button = $("[data-start]", form);
  button.disabled = true;
  $("#realtime-closed").replaceChildren();
  $("#realtime-charges").replaceChildren();
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { accept: "application/json" } });
    if (answer.redirected) { location.reload(); return; } // signed out meanwhile
    const told = await answer.json();
    if (answer.ok) connection = new Connection(told);
    else tell(told.message);
  } catch {
    tell(root.dataset.close1006);
  }
  button.disabled = false;
}

if (root && form) {
  form.addEventListener("submit", (event) => { event.preventDefault(); if (!connection) start(); });
  $("[data-end]", form)?.addEventListener("click", () => connection?.end());
  part.mic.addEventListener("click", () => connection?.listen());
  part.hush.addEventListener("click", () => connection?.interrupt());
  $("#realtime-say").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = $("#realtime-text"), text = field.value.trim();
    if (!connection || !text) return;
    field.value = "";
    connection.write(text);
  });
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && !part.hush.hidden) connection?.interrupt(); });
  part.download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([transcriptText()], { type: "text/plain" }));
    link.download = "transcript.txt";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  addEventListener("pagehide", () => connection?.end());
}
