// Chooses the language of the reader's browser, or the one that the address names: #pt, #en.
function speak(button) {
  button.checked = true;
  document.documentElement.lang = button.dataset.lang;
  document.dispatchEvent(new Event("language"));
}

for (const button of document.querySelectorAll(".language")) button.addEventListener("change", () => speak(button));
const asked = (location.hash.slice(1) || navigator.language).toLowerCase();
speak(document.getElementById(asked.startsWith("pt") ? "pt" : "en"));
