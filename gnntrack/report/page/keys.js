// The keyboard.
const click = (id) => () => $(id).click();
const editBy = (kind) => () => startEdit(kind);
const FOR_EDITS = true; // keys that results need which can be corrected
const KEYS = [
  [["ArrowLeft"], "←", "previous frame", () => goTo(S.frame - 1)],
  [["ArrowRight"], "→", "next frame", () => goTo(S.frame + 1)],
  [["Home"], "Home", "first frame", () => goTo(0)],
  [["End"], "End", "last frame", () => goTo(N_FRAMES - 1)],
  [[" "], "Space", "play or pause", () => togglePlay()],
  [["ArrowUp"], "↑", "previous cell of the frame; in the tree, previous track; in the list, previous place", (where) => step(where, -1)],
  [["ArrowDown"], "↓", "next cell, track or place", (where) => step(where, 1)],
  [["n"], "N", "next place of the list", () => stepPlace(1)],
  [["p"], "P", "previous place of the list", () => stepPlace(-1)],
  [["l"], "L", "other list: places to check, or mistakes", () => switchList()],
  [["g"], "G", "go to a track by its number", () => $("find-track").focus()],
  [["o"], "O", "outlines on or off", click("outlines")],
  [["m"], "M", "mistakes on or off", click("mistakes-shown")],
  [["a"], "A", "automatic contrast", () => hasPictures && chooseContrast()],
  [["+", "="], "+", "zoom in", click("zoom-in")],
  [["-"], "-", "zoom out", click("zoom-out")],
  [["0"], "0", "fit the frame", click("zoom-fit")],
  [["Shift+ArrowLeft"], "Shift ←", "move the picture; also up, down, right", () => panBy(60, 0)],
  [["Shift+ArrowRight"], "", "", () => panBy(-60, 0)],
  [["Shift+ArrowUp"], "", "", () => panBy(0, 60)],
  [["Shift+ArrowDown"], "", "", () => panBy(0, -60)],
  [["PageUp"], "PgUp", "next plane of a stack", () => choosePlane(V.plane + 1)],
  [["PageDown"], "PgDn", "previous plane of a stack", () => choosePlane(V.plane - 1)],
  [["Escape"], "Esc", "cancel, or select nothing", () => { if (mode) cancelEdit(); else { select(-1); drawAll(); } }],
  [["c"], "C", "confirm the link from the frame before", editBy("confirm"), FOR_EDITS],
  [["x"], "X", "cut the link from the frame before", editBy("cut"), FOR_EDITS],
  [["j"], "J", "join the cell to one of another frame; Enter takes the selected cell", editBy("join"), FOR_EDITS],
  [["d"], "D", "the cell divides: then click both daughters, or select them and press Enter", editBy("divide"), FOR_EDITS],
  [["u"], "U", "the track does not divide", editBy("undivide"), FOR_EDITS],
  [["s"], "S", "the mask is not a cell", editBy("spurious"), FOR_EDITS],
  [["z"], "Z", "undo the last edit", () => D.fingerprint && undoEdit(), FOR_EDITS],
  [["Enter"], "", "", () => { if (mode) continueEdit(S.cell); }],
  [["?"], "?", "this list", () => $("help").showModal()],
];

function step(where, by) {
  if (where.closest("#review")) stepPlace(by);
  else if (where.closest("#tree-scroll")) { stepTrack(by); announce(describeSelection()); }
  else stepCell(by);
}

function switchList() {
  if (!D.mistakes) return;
  $("list").value = S.list === "review" ? "mistakes" : "review";
  chooseList($("list").value);
  drawAll();
  announce($("list").selectedOptions[0].textContent);
}

// whether an element uses a key itself
function isOwn(target, key) {
  if (target.tagName === "SELECT" || (target.tagName === "INPUT" && !["range", "checkbox"].includes(target.type))) return true;
  if (target.tagName === "TEXTAREA") return true;
  if (target.type === "range" && target.id !== "time") return key.length > 1;
  if (key === "Enter") return target !== document.body && target.id !== "view";
  return key === " " && (target.tagName === "BUTTON" || target.type === "checkbox");
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    if (isOwn(event.target, event.key)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    let name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.shiftKey && name.startsWith("Arrow")) name = `Shift+${name}`;
    const found = KEYS.find(([keys]) => keys.includes(name));
    if (!found) return;
    event.preventDefault();
    found[3](event.target);
  });
  const isUsed = ([, key, , , forEdits]) => key && (!forEdits || D.fingerprint) && (!["L", "M"].includes(key) || D.mistakes)
    && (!key.startsWith("Pg") || D.planes);
  $("keys").replaceChildren(...KEYS.filter(isUsed).flatMap(([, key, about]) => {
    const [term, text, mark] = ["dt", "dd", "kbd"].map((tag) => document.createElement(tag));
    mark.textContent = key;
    term.append(mark);
    text.textContent = about;
    return [term, text];
  }));
}
