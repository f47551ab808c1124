// Loaded before htmx. The policy named "default" lets strings become HTML, which htmx needs for
// every swap, and nothing else: script text and script addresses stay refused by the browser.
if (window.trustedTypes?.createPolicy) {
  window.trustedTypes.createPolicy("default", { createHTML: (text) => text });
}

// Sidebars that were folded away are so before anything is painted: nothing moves while a page loads.
try {
  document.documentElement.dataset.folded = localStorage.getItem("folded") ?? "";
} catch { // storage is switched off: they stand open
  document.documentElement.dataset.folded = "";
}

// Until the deferred scripts have run, a control that needs them takes no click: none is lost.
document.documentElement.dataset.starting = "";
addEventListener("DOMContentLoaded", () => delete document.documentElement.dataset.starting);

// What most scripts find their elements by.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const on = (name, act, options) => document.addEventListener(name, act, options);
