// Loaded before htmx. The policy named "default" lets strings become HTML, which htmx needs for
// every swap, and nothing else: script text and script addresses stay refused by the browser.
if (window.trustedTypes?.createPolicy) {
  window.trustedTypes.createPolicy("default", { createHTML: (text) => text });
}
