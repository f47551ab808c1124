// Over all its tabs a browser opens six connections to a host (HTTP/1.1), and a stream keeps one. So
// only the tabs used last keep theirs; the others are `brief`: they ask again and again.
const STREAMS_MAX = 3;
const me = Math.random();
const channel = new BroadcastChannel("streams");
const newer = new Set(); // the tabs with a stream that were used after this one
let begun = false;
const isBrief = () => newer.size >= STREAMS_MAX;
function change(act) {
  const before = isBrief();
  act();
  if (before !== isBrief()) document.dispatchEvent(new Event("streams"));
}
function tell(open) {
  begun = open;
  channel.postMessage({ tab: me, open });
}
window.streams = {
  get brief() { return isBrief(); },
  begin() { tell(true); change(() => newer.clear()); },
  end() { if (begun) tell(false); },
};
channel.onmessage = ({ data: { tab, open } }) => change(() => (open ? newer.add(tab) : newer.delete(tab)));
const use = () => { if (begun && newer.size && !document.hidden) window.streams.begin(); };
for (const name of ["focus", "pointerdown", "keydown"]) addEventListener(name, use, true);
addEventListener("pagehide", () => window.streams.end());
