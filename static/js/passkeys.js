// Passkeys: the browser's part of adding one and of signing in with one. The options stand in the
// form or, where anybody may ask for them, at its address; what the browser gives is sent with it.
const act = {
  create: (options) => navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey),
  }),
  get: (options) => navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey),
  }),
};

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-passkey]");
  if (!form) return;
  event.preventDefault();
  const { passkey, failed, unsupported } = form.dataset;
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return complain(form, unsupported);
  try {
    const credential = await act[passkey](await optionsOf(form));
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit(); // not requestSubmit: this listener has done its part
  } catch { // cancelled, no such key, or no answer
    complain(form, failed);
  }
});

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options);
  const response = await fetch(form.action, { headers: { Accept: "application/json" } });
  return (await response.json()).request_options;
}

function complain(form, text) {
  const words = form.querySelector("[data-passkey-error]");
  words.textContent = text;
  words.closest(".banner").hidden = false;
}
