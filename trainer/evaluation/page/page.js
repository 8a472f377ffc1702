"use strict";
// The page is complete without this script, which adds search, filter and order.
const rows = [...document.querySelectorAll("#titles tr")];
const search = document.querySelector("#search");
const state = { kind: "", by: "order", isDown: false };

function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

// What can be searched: titles, questions, sources and texts, but no label.
const texts = new Map(rows.map((row) => [row, plain([...row.querySelectorAll(".title, .text, dd")].map((each) => each.textContent).join(" "))]));
const titles = new Map(rows.map((row) => [row, row.querySelector(".title").textContent]));

function press(group, isPressed) {
  for (const button of document.querySelectorAll(`#${group} button`)) {
    button.setAttribute("aria-pressed", isPressed(button.dataset));
  }
}

function show() {
  const words = plain(search.value).split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    row.hidden = (state.kind && row.dataset.kind !== state.kind) || !words.every((word) => texts.get(row).includes(word));
    count += !row.hidden;
  }
  document.querySelector("#count").textContent = count.toLocaleString(document.documentElement.lang);
}

function sort() {
  const sign = state.isDown ? -1 : 1;
  const compare = state.by === "title"
    ? (a, b) => titles.get(a).localeCompare(titles.get(b), document.documentElement.lang)
    : (a, b) => a.dataset[state.by] - b.dataset[state.by];
  document.querySelector("#titles").append(...rows.slice().sort((a, b) => sign * compare(a, b) || a.dataset.order - b.dataset.order));
  press("orders", (data) => data.by === state.by);
  for (const button of document.querySelectorAll("#orders button")) {
    button.dataset.direction = button.dataset.by === state.by && state.by !== "order" ? (state.isDown ? "down" : "up") : "";
  }
}

function onClick(group, act) {
  document.querySelector(`#${group}`).addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) act(button.dataset);
  });
}

onClick("kinds", (data) => {
  state.kind = data.kind;
  press("kinds", (other) => other.kind === state.kind);
  show();
});
onClick("orders", (data) => {
  // Scores begin with the largest, titles with A; a second press turns the order round.
  state.isDown = data.by === state.by ? !state.isDown && data.by !== "order" : !["order", "title"].includes(data.by);
  state.by = data.by;
  sort();
});
search.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  }
});
document.querySelector("#save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([document.querySelector("#evaluation").textContent], { type: "application/json" }));
  link.download = "evaluation.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

document.addEventListener("language", show);

for (const each of document.querySelectorAll(".tools")) each.hidden = false;
