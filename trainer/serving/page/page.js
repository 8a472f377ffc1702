// The page: asks the chat API, shows the answer while it comes, and its source. All text goes in by text nodes.
import { WORDS } from "/page/words.js";

const find = (id) => document.getElementById(id);
// Controls, direction marks and the like are shown as code points. Joiners stay: emoji need them.
const INVISIBLE = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/u;

let language = "en";
let key = "";
let asking = null; // an AbortController while an answer comes
let complaint = null; // a function that says what went wrong, in the language of the page
let shown = null; // what stands on the page, to be drawn again in another language

function word(name, value = "") {
  return WORDS[language][name].replace("{}", value);
}

function element(tag, { text, className, ...others } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), others);
  if (className) made.className = className;
  if (text !== undefined) write(made, text);
  made.append(...children);
  return made;
}

function write(parent, text) {
  let plain = "";
  for (const character of text) {
    if (!INVISIBLE.test(character)) { plain += character; continue; }
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parent.append(plain, Object.assign(document.createElement("span"), { className: "cp", textContent: `U+${code}` }));
    plain = "";
  }
  parent.append(plain);
}

// Spans count characters as Python does: by code point.
function writeMarked(parent, text, spans) {
  const characters = Array.from(text);
  let place = 0;
  for (const [start, end] of spans) {
    write(parent, characters.slice(place, start).join(""));
    parent.append(element("mark", { text: characters.slice(start, end).join("") }));
    place = end;
  }
  write(parent, characters.slice(place).join(""));
}

// --- asking ----------------------------------------------------------------------------------------------------------

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (block === "data: [DONE]") return;
      if (block.startsWith("data: ")) yield JSON.parse(block.slice(6));
    }
  }
}

function headers() {
  return { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
}

async function answer(on, state, question, { asTitle, signal }) {
  const begun = performance.now();
  const body = {
    model: state.model, stream: true, messages: [{ role: "user", content: question }], vitrine: { as_title: asTitle },
  };
  const response = await fetch("/v1/chat/completions", { method: "POST", headers: headers(), body: JSON.stringify(body), signal });
  if (!response.ok) throw await problemOf(response);
  for await (const event of events(response)) {
    if (event.error) throw problem(event.error);
    const found = event.vitrine;
    if (found) on.found ??= found;
    if (found?.supported) [state.spans, state.quoted, state.best] = [found.supported[0], found.quoted[0], found.best[0]];
    for (const choice of event.choices) {
      state.text += choice.delta.content ?? "";
      state.reason = choice.finish_reason ?? state.reason;
    }
    drawSoon();
  }
  state.seconds = (performance.now() - begun) / 1000;
  state.busy = false;
  drawSoon();
}

async function problemOf(response) {
  if (response.status === 401) {
    find("key").hidden = false;
    find("key-text").focus();
    return failure(() => word("unauthorized"));
  }
  const body = await response.json().catch(() => null);
  return body?.error ? problem(body.error) : failure(() => `HTTP ${response.status}`);
}

function problem({ code, message }) {
  return failure(() => WORDS[language].problems[code] ?? message);
}

function failure(say) {
  return Object.assign(new Error(say()), { say });
}

async function ask(question, { asTitle = false } = {}) {
  asking?.abort();
  find("problem").hidden = true;
  if (!question.trim()) return complain(() => word("empty"));
  key = find("key-text").value.trim();
  const mine = (asking = new AbortController());
  const show = new FormData(find("ask")).get("show");
  const models = show === "both" ? ["vitrine-before", "vitrine"] : [show];
  const page = { found: null, answers: models.map((model) => ({ model, text: "", spans: null, reason: null, busy: true })) };
  shown = page;
  find("stop").hidden = false;
  drawSoon();
  try {
    await Promise.all(page.answers.map((state) => answer(page, state, question, { asTitle, signal: mine.signal })));
  } catch (error) {
    mine.abort();
    if (asking === mine) complain(saidBy(error));
  }
  if (asking !== mine) return;
  asking = null;
  find("stop").hidden = true;
  for (const state of page.answers) state.busy = false;
  drawSoon();
}

function saidBy(error) {
  if (error.name === "AbortError") return () => word("stopped");
  if (error instanceof TypeError) return () => word("unreachable");
  return error.say ?? (() => error.message);
}

function complain(say) {
  complaint = say;
  const problem = find("problem");
  problem.replaceChildren();
  write(problem, say());
  problem.hidden = false;
}

// --- drawing ---------------------------------------------------------------------------------------------------------

let isDrawing = false;
function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => { isDrawing = false; draw(); });
}

function draw() {
  const hasText = shown?.found || shown?.answers.some((state) => state.text);
  find("results").hidden = !hasText;
  if (!hasText) return;
  find("title").replaceChildren();
  write(find("title"), shown.found?.title ?? "");
  const answers = find("answers");
  if (answers.children.length !== shown.answers.length || answers.dataset.of !== shown.answers.map((each) => each.model).join())
    answers.replaceChildren(...shown.answers.map(() => element("section", { className: "sheet" }, element("h2"), text(), element("p", { className: "note" }))));
  answers.dataset.of = shown.answers.map((each) => each.model).join();
  shown.answers.forEach((state, index) => drawAnswer(answers.children[index], state));
  drawCatalogue(find("catalogue"), shown.found, shown.answers.at(-1));
}

// While an answer comes it is busy: a screen reader reads it once it is complete.
function text() {
  const made = element("p", { className: "text", dir: "auto" });
  made.setAttribute("aria-live", "polite");
  return made;
}

function drawAnswer(sheet, state) {
  const [heading, paragraph, note] = sheet.children;
  heading.textContent = word(state.model === "vitrine" ? "afterName" : "beforeName");
  paragraph.setAttribute("aria-busy", String(state.busy));
  paragraph.replaceChildren();
  writeMarked(paragraph, state.text, state.spans ?? []);
  const parts = [];
  const verdict = verdictOn(state, shown.found);
  if (verdict) parts.push(word(verdict));
  if (state.reason === "length") parts.push(word("cut"));
  if (state.seconds) parts.push(word("took", state.seconds.toLocaleString(language, { maximumFractionDigits: 1 })));
  note.textContent = parts.join(" ");
}

// How an answer stands to the catalogue, as the name of a sentence; null while it comes, or where nothing was looked up.
function verdictOn({ text, spans, busy }, found) {
  if (busy || !found || found.in_catalogue === null) return null;
  if (!found.in_catalogue) return "invented";
  if (found.sources.some((source) => source.text === text.trim())) return "same";
  return spans && (spans.length ? "marked" : "unmarked");
}

function drawCatalogue(aside, found, { quoted, best }) {
  const drawn = JSON.stringify([found, quoted, best, language]);
  if (aside.dataset.drawn === drawn) return;
  aside.dataset.drawn = drawn;
  aside.replaceChildren();
  aside.hidden = !found || found.in_catalogue === null;
  if (aside.hidden) return;
  aside.className = "sheet";
  const name = !found.in_catalogue ? "notInCatalogue" : found.exact ? "inCatalogue" : "alike";
  aside.append(element("p", { className: found.in_catalogue ? "label" : "label absent", text: word(name) }));
  if (found.num_sources > 1) aside.append(element("p", { className: "note", text: word("records", found.num_sources.toLocaleString(language)) }));
  const sheets = found.sources.map((source, index) => sourceSheet(source, index === best ? quoted : [], found));
  aside.append(...sheets.splice(best ?? 0, 1), ...sheets); // what supports the answer stands first
  if (!found.in_catalogue) {
    aside.append(element("h3", { text: word(found.nearest.length ? "nearest" : "noNearest") }));
    aside.append(choices(found.nearest.map((source) => source.title)));
  }
}

function sourceSheet(source, spans, found) {
  const paragraph = element("p", { className: "text", dir: "auto" });
  writeMarked(paragraph, source.text, spans);
  const places = element("dl");
  for (const name of ["uid", "data", "shard", "row"])
    places.append(element("dt", { text: word(name) }), element("dd", { text: String(source[name]) }));
  const sheet = element("div", { className: "source" });
  if (!found.exact) sheet.append(element("h3", { text: source.title, dir: "auto" }));
  if (!source.shard.startsWith("train/")) sheet.append(element("p", { className: "label held-out", text: word("heldOut") }));
  sheet.append(paragraph, places);
  return sheet;
}

function choices(titles) {
  const made = element("div", { className: "choices" });
  for (const title of new Set(titles)) {
    const button = element("button", { type: "button", className: "choice", text: title, dir: "auto" });
    button.addEventListener("click", () => {
      find("question").value = title;
      ask(title, { asTitle: true });
    });
    made.append(button);
  }
  return made;
}

// --- the page itself -------------------------------------------------------------------------------------------------

function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = word(each.dataset.text);
  for (const each of document.querySelectorAll("[data-language]"))
    each.setAttribute("aria-pressed", String(each.dataset.language === chosen));
  if (!find("problem").hidden) complain(complaint);
  if (shown) draw();
}

async function loadAbout() {
  const response = await fetch("/about", { headers: headers() }).catch(() => null);
  if (!response) return complain(() => word("unreachable"));
  if (!response.ok) return complain((await problemOf(response)).say);
  const about = await response.json();
  write(find("run"), `· ${about.run}`);
  find("about-sources").hidden = !about.sources;
  if (!about.examples.length) return;
  find("examples").querySelector(".choices").replaceWith(choices(about.examples));
  find("examples").hidden = false;
}

function stored(name, value) {
  try { // a browser may forbid it
    return value === undefined ? localStorage.getItem(name) : localStorage.setItem(name, value);
  } catch { return null; }
}

for (const each of document.querySelectorAll("[data-language]"))
  each.addEventListener("click", () => { speak(each.dataset.language); stored("language", each.dataset.language); });
find("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(find("question").value); });
find("stop").addEventListener("click", () => asking?.abort());
document.addEventListener("keydown", (event) => { if (event.key === "Escape") asking?.abort(); });
find("key-text").addEventListener("change", () => { key = find("key-text").value.trim(); if (find("examples").hidden) { find("problem").hidden = true; loadAbout(); } });
speak(stored("language") in WORDS ? stored("language") : navigator.language.startsWith("pt") ? "pt-BR" : "en");
loadAbout();
