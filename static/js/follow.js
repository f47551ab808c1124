// A log follows its end while its reader is there, and stops when the reader scrolls up.
function follow(log) {
  if (log.dataset.following !== undefined) return;
  log.dataset.following = "";
  const pill = log.parentElement.querySelector("[data-to-end]");
  const empty = () => !log.querySelector(".msg");
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  // An empty chat is read from its beginning.
  let pinned = !empty(), top = 0, movedAt = -Infinity;
  const settle = () => {
    if (pinned && getSelection().isCollapsed) log.scrollTop = log.scrollHeight;
    if (pill) pill.hidden = empty() || atEnd();
  };
  log.addEventListener("scroll", () => {
    // Content that grows under the end, or above it turns out to be less than it was taken for, is no
    // reader who leaves: only one who goes up is.
    pinned = atEnd() || (pinned && (log.scrollTop >= top || performance.now() - movedAt > 1000));
    top = log.scrollTop;
    if (pinned && pill) pill.hidden = true;
  }, { passive: true });
  const moves = () => { movedAt = performance.now(); };
  for (const name of ["wheel", "touchmove", "pointerdown", "keydown"]) on(name, moves, { passive: true });
  const pin = () => { pinned = true; log.scrollTop = log.scrollHeight; if (pill) pill.hidden = true; };
  pill?.addEventListener("click", pin);
  log.addEventListener("pin", pin);
  // After the layout of a frame, which reading sizes at each change would force once more.
  const sizes = new ResizeObserver(settle);
  for (const one of [log, ...log.children]) sizes.observe(one);
  settle();
}

function ready(root) {
  if (root.matches?.("[data-log]")) follow(root);
  for (const log of root.querySelectorAll("[data-log]")) follow(log);
}
on("htmx:after:process", ({ target }) => ready(target));
ready(document);
