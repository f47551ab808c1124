// Records sound by a button with data-record, shows how loud it is in #recording, and tells what was
// recorded as a file: "recorded". Whoever wants it listens.
const $ = (selector, root = document) => root.querySelector(selector);
// How loud it is, from the floor of a quiet room to the top; words tell it once a second at the most,
// and alone where nothing is to move.
const FLOOR_DB = -60, HEARD = 0.2;
function showLevel(stream) {
  const sound = new AudioContext(), ear = sound.createAnalyser(), samples = new Float32Array(1024);
  const still = matchMedia("(prefers-reduced-motion:reduce)").matches, began = performance.now();
  ear.fftSize = samples.length;
  sound.createMediaStreamSource(stream).connect(ear);
  let loudest = 0, second = -1, timer;
  const look = () => {
    const strip = $("#recording"); // a Send that is refused draws the composer anew
    ear.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, one) => sum + one * one, 0) / samples.length;
    const level = Math.min(1, Math.max(0, 1 - 10 * Math.log10(power || 1e-12) / FLOOR_DB));
    loudest = Math.max(loudest, level);
    strip.hidden = false;
    if (!still) $("[data-level]", strip).setAttribute("width", Math.round(100 * level));
    const now = Math.floor((performance.now() - began) / 1000);
    if (now > second) {
      $("[data-clock]", strip).textContent = `${Math.floor(now / 60)}:${String(now % 60).padStart(2, "0")}`;
      const told = $("[role=status]", strip), words = loudest > HEARD ? strip.dataset.heard : strip.dataset.silent;
      if (now && told.textContent !== words) told.textContent = words;
      [second, loudest] = [now, 0];
    }
    timer = still ? setTimeout(look, 200) : requestAnimationFrame(look);
  };
  look();
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(timer);
    sound.close();
    $("#recording").hidden = true;
    $("#recording [role=status]").textContent = "";
  };
}
const MICROPHONE_FAULTS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing" };
let recorder, asking = false;
async function recordSound(button) {
  if (recorder) { recorder.stop(); return; }
  if (asking) return; // a second stream would have no one who closes it
  let stream;
  try {
    asking = true;
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (fault) {
    const cause = navigator.mediaDevices ? MICROPHONE_FAULTS[fault.name] ?? "busy" : "insecure";
    const text = button.dataset[cause];
    document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone: "bad" } }));
    return;
  } finally {
    asking = false;
  }
  const pieces = [], hide = showLevel(stream);
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  recorder.onstop = () => {
    for (const track of stream.getTracks()) track.stop();
    hide();
    button.setAttribute("aria-pressed", "false");
    const type = recorder.mimeType;
    const file = new File(pieces, type.includes("mp4") ? "recording.m4a" : "recording.webm", { type });
    recorder = undefined;
    document.dispatchEvent(new CustomEvent("recorded", { detail: file }));
  };
  recorder.start();
  button.setAttribute("aria-pressed", "true");
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-record]");
  if (button) recordSound(button);
});
