// The proof of work of a form that everybody can send (ALTCHA): a worker answers the challenge that
// the page carries. A form that is sent before that waits for the answer.
for (const box of document.querySelectorAll("[data-captcha]")) check(box);

function check(box) {
  const { form } = box.querySelector("input");
  const words = box.querySelector("[role=status]");
  words.hidden = false;
  let waiting = false;
  const wait = (event) => {
    event.preventDefault();
    waiting = true;
  };
  form.addEventListener("submit", wait);
  answer(JSON.parse(box.dataset.captcha), box.dataset.worker).then(
    (text) => {
      box.querySelector("input").value = text;
      words.textContent = box.dataset.done;
      form.removeEventListener("submit", wait);
      if (waiting) form.requestSubmit();
    },
    () => {
      words.textContent = box.dataset.failed;
    },
  );
}

function answer(challenge, address) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(trusted(address));
    worker.onerror = reject;
    worker.onmessage = ({ data: solution }) => {
      worker.terminate();
      if (!solution?.derivedKey) return reject(solution?.error);
      resolve(btoa(JSON.stringify({ challenge, solution })));
    };
    worker.postMessage({ type: "work", challenge, counterStart: 0, counterStep: 1 });
  });
}

// The address stands in our own page; a browser without Trusted Types takes it as it is.
function trusted(address) {
  const policy = window.trustedTypes?.createPolicy("captcha", { createScriptURL: (url) => url });
  return policy ? policy.createScriptURL(address) : address;
}
