"""Whether everything that can be pressed is: the point in its middle belongs to it, and nothing
else lies on it."""

from typing import Final

from playwright.sync_api import Locator, Page

# Of a control only the part in sight counts: nobody presses what a list or a cell clips away.
_FAULTS: Final = """(root) => {
  const within = root ?? document.body;
  const clips = (node) => getComputedStyle(node).overflow !== "visible";
  const fixed = (node) => ["fixed", "sticky"].includes(getComputedStyle(node).position);
  const called = (node) => {
    const text = (node.ariaLabel || node.textContent || node.name || "").trim();
    return `${node.localName}${node.name ? `[${node.name}]` : ""} "${text.slice(0, 40)}"`;
  };
  const shown = (node) => node.checkVisibility({ visibilityProperty: true });
  const seen = (node) => {
    // A link over several lines has a box for each; the middle of all may be between them.
    let [box] = [...node.getClientRects()].filter(({ width, height }) => width > 1 && height > 1);
    if (!box) return null;
    let { left, right, top, bottom } = box;
    for (let up = node.parentElement; up; up = up.parentElement) {
      if (fixed(up) && up.matches("dialog, [popover]")) break;
      if (up === document.body || up === document.documentElement || !clips(up)) continue;
      const edge = up.getBoundingClientRect();
      left = Math.max(left, edge.left);
      right = Math.min(right, edge.right);
      top = Math.max(top, edge.top);
      bottom = Math.min(bottom, edge.bottom);
    }
    return right - left > 1 && bottom - top > 1 ? { left, right, top, bottom } : null;
  };
  // What is sticky or fixed lies over the page by intent, wherever the page is scrolled to.
  const layer = (node) => {
    for (let up = node; up; up = up.parentElement) if (fixed(up)) return up;
    return null;
  };
  const all = (selector) => [...within.querySelectorAll(selector)].filter(
    (node) => shown(node) && (root || !node.closest("dialog, [popover], [inert]")));
  const controls = all("a[href], button, input:not([type=hidden]), select, textarea, summary");
  const faults = [];
  for (const node of controls) {
    node.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    const box = seen(node);
    if (!box) continue;
    const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const hit = document.elementFromPoint(...middle);
    if (!hit || node.contains(hit) || hit.closest("label")?.control === node) continue;
    if (getComputedStyle(node).pointerEvents === "none") continue;
    faults.push(`${called(node)} is under ${called(hit)}`);
  }
  const boxes = [...controls, ...all("label")]
    .map((node) => ({ node, box: seen(node), layer: layer(node) }))
    .filter(({ box }) => box);
  const belongs = (one, other) => one.contains(other) || other.contains(one)
    || one.control === other || other.control === one;
  boxes.forEach((one, index) => {
    for (const other of boxes.slice(index + 1)) {
      if (one.layer !== other.layer || belongs(one.node, other.node)) continue;
      const [a, b] = [one.box, other.box];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 2 && tall > 2)
        faults.push(`${called(one.node)} and ${called(other.node)} intersect`);
    }
  });
  scrollTo(0, 0);
  return [...new Set(faults)];
}"""


def pressing_faults(page: Page, within: Locator | None = None) -> list[str]:
    """What cannot be pressed in its middle, and which controls and labels intersect: on the page,
    or in what lies over it. The page is scrolled meanwhile, and ends at its top."""
    part = within.element_handle() if within else None
    result: list[str] = page.evaluate(_FAULTS, part)
    return result
