// The state of the page, and what changes it.
const S = {
  frame: 0, cell: -1, track: -1, branch: new Set(), review: -1, colourBy: "family", outlines: true, numbers: true, timer: 0,
};

function describeTime(frame) {
  const seconds = D.interval ? frame * D.interval : null;
  const time = seconds === null ? "" : `, ${seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`}`;
  return `frame ${frame} of ${N_FRAMES - 1}${time}`;
}

function select(row, track = row >= 0 ? C.track[row] : -1) {
  S.cell = row;
  S.track = track;
  S.branch = listBranch(track);
}

// go to a frame, and select a cell of it; without a cell, the selected track is followed
function goTo(frame, row = null) {
  S.frame = Math.min(N_FRAMES - 1, Math.max(0, frame));
  if (row !== null) select(row);
  else if (S.track >= 0) followBranch();
  $("time").value = S.frame;
  $("clock").textContent = describeTime(S.frame);
  showCell(S.cell);
  showTrack(row !== null ? S.track : -1);
  drawAll();
}

// the cell of the selected track in this frame; before and after the track, that of the parent or none
function followBranch() {
  const row = findCell(S.track, S.frame);
  if (row >= 0 && frameOf[row] === S.frame) S.cell = row;
  else S.cell = -1;
}

function clickCell(row) {
  if (mode) return continueEdit(row);
  select(row);
  showTrack(S.track);
  drawAll();
}

function drawAll() {
  drawMovie();
  drawTree();
  drawPlots();
  showSelection();
}

function togglePlay() {
  if (S.timer) {
    clearInterval(S.timer);
    S.timer = 0;
  } else {
    S.timer = setInterval(() => goTo(S.frame + 1 < N_FRAMES ? S.frame + 1 : 0), 120);
  }
  $("play").textContent = S.timer ? "Pause" : "Play";
}

const click = (id) => () => $(id).click();
const editBy = (kind) => () => startEdit(kind);
const KEYS = [
  [["ArrowLeft"], "←", "previous frame", () => goTo(S.frame - 1)],
  [["ArrowRight"], "→", "next frame", () => goTo(S.frame + 1)],
  [["Home"], "Home", "first frame", () => goTo(0)],
  [["End"], "End", "last frame", () => goTo(N_FRAMES - 1)],
  [[" "], "Space", "play or pause", togglePlay],
  [["n"], "N", "next place to check", () => showReview(S.review + 1)],
  [["p"], "P", "previous place to check", () => showReview(S.review - 1)],
  [["o"], "O", "outlines on or off", click("outlines")],
  [["+", "="], "+", "zoom in", click("zoom-in")],
  [["-"], "-", "zoom out", click("zoom-out")],
  [["0"], "0", "fit the frame", click("zoom-fit")],
  [["Escape"], "Esc", "cancel, or select nothing", () => { if (mode) cancelEdit(); else { select(-1); drawAll(); } }],
  [["c"], "C", "confirm the link from the frame before", editBy("confirm")],
  [["x"], "X", "cut the link from the frame before", editBy("cut")],
  [["j"], "J", "join the cell to one of another frame", editBy("join")],
  [["d"], "D", "the cell divides: then click both daughters", editBy("divide")],
  [["u"], "U", "the track does not divide", editBy("undivide")],
  [["s"], "S", "the mask is not a cell", editBy("spurious")],
  [["z"], "Z", "undo the last edit", () => D.fingerprint && undoEdit()],
  [["?"], "?", "this list", () => $("help").showModal()],
];

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const inField = ["SELECT", "TEXTAREA"].includes(event.target.tagName) || event.target.type === "range";
    if (inField && event.target.id !== "time" && event.key.length > 1) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = KEYS.find(([keys]) => keys.includes(name));
    if (!found) return;
    event.preventDefault();
    found[3]();
  });
  const shown = D.fingerprint ? KEYS : KEYS.filter(([, , , act], k) => k < 12 || k === KEYS.length - 1);
  $("keys").replaceChildren(...shown.flatMap(([, key, about]) => {
    const [term, text, mark] = ["dt", "dd", "kbd"].map((tag) => document.createElement(tag));
    mark.textContent = key;
    term.append(mark);
    text.textContent = about;
    return [term, text];
  }));
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
}

function start() {
  $("title").textContent = D.title;
  $("facts").textContent = D.facts.join(", ");
  $("scores").replaceChildren(...Object.entries(D.scores).map(([name, value]) => {
    const [item, number] = [document.createElement("span"), document.createElement("b")];
    number.textContent = value.toFixed(3);
    item.append(`${name} `, number);
    return item;
  }));
  $("notes").textContent = D.notes.join(" ");
  $("notes").hidden = D.notes.length === 0;
  $("time").max = N_FRAMES - 1;
  $("time").oninput = () => goTo(Number($("time").value));
  $("play").onclick = togglePlay;
  $("colour").onchange = () => { S.colourBy = $("colour").value; drawAll(); };
  $("outlines").onchange = () => { S.outlines = $("outlines").checked; drawOutlines(); };
  $("numbers").onchange = () => { S.numbers = $("numbers").checked; drawOutlines(); };
  $("next").onclick = () => showReview(S.review + 1);
  $("previous").onclick = () => showReview(S.review - 1);
  $("undo").onclick = undoEdit;
  $("download").onclick = downloadEdits;
  $("editing").hidden = !D.fingerprint;
  for (const button of $("tools").children) button.onclick = () => startEdit(button.dataset.edit);
  for (const each of document.querySelectorAll(".picture")) each.hidden = !D.pictures;
  $("help-button").onclick = () => $("help").showModal();
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.onchange = () => { setTheme(dark.matches ? "dark" : "light"); drawAll(); };
  $("theme").onclick = () => { setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); drawAll(); };
  listenToMovie();
  listenToTree();
  listenToPlots();
  listenToKeys();
  makeReview();
  const resize = () => { if (zoom.fitted) fitView(); resizeTree(); drawAll(); };
  new ResizeObserver(resize).observe(view);
  new ResizeObserver(resize).observe(treeBox);
  window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  showEdits();
  resize();
  goTo(0);
  document.documentElement.dataset.ready = "true";
}

start();
