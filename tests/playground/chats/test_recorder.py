"""What a browser does with the microphone, without a browser: Node.js runs the script on a page
that notes what is opened and closed."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.runner.programs import need

SCRIPTS = Path(__file__).parents[3] / "static/js"
# One press of the button, with what a browser has as far as the script asks for it.
_PAGE = """
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
const open = new Set(), files = [], toasts = [];
let press, streams = 0;
const opened = (name) => { open.add(name); return () => open.delete(name); };
const node = () => ({ dataset: {}, setAttribute() {} });
const strip = { ...node(), hidden: true, querySelector: node };
const button = { ...node(), closest: () => button };
const stream = (n) => {
  const tracks = ["microphone", "second track"].map((name) => ({ stop: opened(`${name} ${n}`) }));
  return { getTracks: () => tracks };
};
class MediaRecorder {
  mimeType = "audio/webm";
  start() { this.end = opened("recorder"); }
  stop() { this.end(); this.ondataavailable({ data: "sound" }); this.onstop(); }
}
class AudioContext {
  close = opened("sound");
  createAnalyser() { return { getFloatTimeDomainData() {} }; }
  createMediaStreamSource() { return { connect() {} }; }
}
let frame = 0;
runInNewContext(readFileSync(process.argv[1], "utf8"), {
  AudioContext, MediaRecorder, Float32Array, performance,
  CustomEvent: class { constructor(type, { detail }) { Object.assign(this, { type, detail }); } },
  File: class { constructor(pieces, name) { this.name = name; } },
  matchMedia: () => ({ matches: false }),
  requestAnimationFrame: () => { open.add("frame"); return 1; },
  cancelAnimationFrame: () => open.delete("frame"),
  setTimeout, clearTimeout,
  navigator: { mediaDevices: { getUserMedia: async () => stream(streams += 1) } },
  document: {
    addEventListener: (type, listener) => { press = () => listener({ target: button }); },
    dispatchEvent: ({ type, detail }) => { if (type === "recorded") files.push(detail.name); },
    querySelector: (selector) => selector === "#recording" ? strip : node(),
  },
});
const seen = [];
for (let n = 0; n < 4; n += 1) {
  for (let i = 0; i < Number(process.argv[2]); i += 1) press();
  await new Promise((done) => setImmediate(done));
  seen.push([...open].sort());
}
console.log(JSON.stringify({ seen, files, hidden: strip.hidden }));
"""


def _press(times: int) -> dict[str, Any]:
    """What is open after each of four presses, or after so many presses each time."""
    script = str(SCRIPTS / "recorder.js")
    command = [need("node"), "--input-type=module", "-e", _PAGE, script, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_microphone_is_off_after_each_recording() -> None:
    """The browser shows its sign as long as any track of the microphone is open."""
    told = _press(1)
    first, second = (
        ["frame", f"microphone {n}", "recorder", f"second track {n}", "sound"] for n in (1, 2)
    )
    assert told["seen"] == [first, [], second, []]
    assert told["files"] == ["recording.webm"] * 2
    assert told["hidden"]


def test_presses_while_the_browser_asks_open_one_stream() -> None:
    first = _press(3)["seen"][0]
    assert first == ["frame", "microphone 1", "recorder", "second track 1", "sound"]


def test_each_script_that_opens_the_microphone_closes_it() -> None:
    """Where Node.js is missing, and for the conversation by voice."""
    opens = {
        path.name: (text.count(".getUserMedia("), text.count(".getTracks()) track.stop()"))
        for path in SCRIPTS.glob("*.js")
        if ".getUserMedia(" in (text := path.read_text())
    }
    assert opens == {"realtime.js": (1, 1), "recorder.js": (1, 1)}
