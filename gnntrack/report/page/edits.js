// Corrections: a list of edits, as docs/correct.md describes it. 'gnntrack apply-edits' checks and applies them.
const edits = []; // {kind, rows}
let mode = null; // {kind, rows}: an edit that waits for more cells
let saved = true;

const nameLabel = ([frame, label]) => `${label} in frame ${frame}`;
const nameCell = (row) => nameLabel([frameOf[row], C.label[row]]);

// by the names of the cells
const DESCRIBED = {
  cut: ([source, target]) => `Cut ${source} → ${target}`,
  join: ([source, target]) => `Join ${source} → ${target}`,
  confirm: ([source, ...targets]) => `Confirm ${source} → ${targets.join(" and ")}`,
  divide: ([parent, ...daughters]) => `${parent} divides into ${daughters.join(" and ")}`,
  undivide: ([cell]) => `${cell} does not divide`,
  spurious: ([cell]) => `${cell} is not a cell`,
};

const describeEdit = ({ kind, rows, names }) => DESCRIBED[kind](names ? names.map(nameLabel) : rows.map(nameCell));

// the last cell of the track, if the track divides
function findDivision(row) {
  if (row < 0 || daughtersOf[C.track[row]].length < 2) return -1;
  return rowsOfTrack[C.track[row]][rowsOfTrack[C.track[row]].length - 1];
}

const TOOLS = {
  confirm: (row) => C.past[row] >= 0 && [C.past[row], row],
  cut: (row) => C.past[row] >= 0 && [C.past[row], row],
  join: (row) => frameOf[row] >= 0 && [row],
  divide: (row) => frameOf[row] < N_FRAMES - 1 && [row],
  undivide: (row) => findDivision(row) >= 0 && [findDivision(row)],
  spurious: (row) => !isDrawn(row) && [row],
};

// why a correction of a cell is not possible
const IMPOSSIBLE = {
  confirm: "the cell has no link from the frame before",
  cut: "the cell has no link from the frame before",
  divide: "the cell is in the last frame",
  undivide: "the track does not divide",
  spurious: "the mask was drawn in a gap; cut the link over the gap instead",
};

function addEdit(kind, rows) {
  if (LIVE) return sendEdit(kind, rows);
  const edit = { kind, rows };
  const reason = findContradiction(edits, edit);
  $("message").textContent = reason ? `Not added: ${reason}.` : "";
  if (reason) return;
  edits.push(edit);
  saved = false;
  showEdits();
}

function removeEdit(k) {
  if (LIVE) return sendRemoval(k + 1);
  edits.splice(k, 1);
  saved = edits.length === 0;
  $("message").textContent = "";
  showEdits();
}

function startEdit(kind) {
  if (!D.fingerprint) return;
  const rows = S.cell >= 0 ? TOOLS[kind](S.cell) : null;
  if (!rows) {
    $("message").textContent = S.cell >= 0 ? `Not added: ${IMPOSSIBLE[kind]}.` : "Select a cell first.";
    return;
  }
  if (kind !== "join" && kind !== "divide") return addEdit(kind, rows);
  mode = { kind, rows };
  if (kind === "divide") goTo(S.frame + 1);
  showMode();
}

function continueEdit(row) {
  if (mode.rows.includes(row)) return;
  if (row < 0) return void ($("message").textContent = "Choose a cell: click it, or select it with the arrow keys up and down, and press Enter.");
  const first = mode.rows[0];
  if (frameOf[row] === frameOf[first] || (mode.kind === "divide" && frameOf[row] < frameOf[first])) {
    $("message").textContent = mode.kind === "join" ? "Choose a cell of another frame." : "Choose a cell of a later frame.";
    return;
  }
  mode.rows.push(row);
  const { kind, rows } = mode;
  if (rows.length === (kind === "join" ? 2 : 3)) {
    mode = null;
    addEdit(kind, kind === "join" ? [...rows].sort((a, b) => frameOf[a] - frameOf[b]) : rows);
  }
  showMode();
}

function cancelEdit() {
  mode = null;
  $("message").textContent = "";
  showMode();
}

function showMode() {
  $("mode").hidden = !mode;
  if (mode) {
    const name = nameCell(mode.rows[0]);
    $("mode").textContent = mode.kind === "join"
      ? `Join ${name}: go to another frame and click the same cell there. Esc cancels.`
      : `${name} divides: click daughter ${mode.rows.length} of 2. Esc cancels.`;
  }
  drawOutlines();
}

function undoEdit() {
  if (mode) return cancelEdit();
  if (edits.length) removeEdit(edits.length - 1);
}

function showEdits() {
  $("edit-count").textContent = edits.length ? `(${edits.length})` : "";
  $("undo").disabled = edits.length === 0;
  if (!LIVE) $("download").disabled = edits.length === 0;
  $("edits").replaceChildren(...edits.map((edit, k) => {
    const item = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = describeEdit(edit);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove edit ${k + 1}`);
    remove.onclick = (event) => { event.stopPropagation(); removeEdit(k); };
    item.append(text, remove);
    const row = edit.rows[edit.rows.length - 1];
    item.onclick = () => (row >= 0 ? goTo(frameOf[row], row) : goTo(edit.frame));
    return item;
  }));
  keepPlaceInView();
  drawOutlines();
  drawTree();
}

// the content of edits.json
function listEdits() {
  const cells = (rows) => rows.map((row) => [frameOf[row], C.label[row]]);
  return {
    format: "gnntrack edits", version: 1, labels: "result", result: D.fingerprint,
    edits: edits.map(({ kind, rows }) => ({ kind, cells: cells(rows) })),
  };
}

function downloadEdits() {
  if (!edits.length) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(listEdits(), null, 1)}\n`], { type: "application/json" }));
  link.download = "edits.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  saved = true;
  const folder = D.title.split("/").pop();
  const name = /^\w[\w.+-]*$/.test(folder) ? folder : "RESULT"; // others would have to be quoted for the shell
  $("message").textContent = `Downloaded. Next: gnntrack apply-edits ${name} edits.json -o corrected/${name}`;
}

// lines of joins and cuts, crosses of spurious cells, near their frames
function drawEdits(context) {
  const pending = mode ? [{ kind: mode.kind, rows: mode.rows }] : [];
  for (const { kind, rows } of [...edits, ...pending]) {
    const near = rows.some((row) => Math.abs(frameOf[row] - S.frame) <= 1);
    if (!near) continue;
    const wrong = ["cut", "spurious", "undivide"].includes(kind);
    for (const [colour, width] of [["#000", 4.5], [wrong ? "#f0a24a" : "#6db3f2", 2.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(wrong ? [5, 4] : []);
      context.beginPath();
      if (rows.length === 1) crossCell(context, rows[0]);
      for (const row of rows.slice(1)) {
        context.moveTo(...place(rows[0]));
        context.lineTo(...place(row));
      }
      context.stroke();
    }
    context.setLineDash([]);
  }
}

function crossCell(context, row) {
  const [x, y] = place(row);
  const size = Math.max(6, dotRadius * zoom.scale * 0.7);
  for (const side of [-1, 1]) {
    context.moveTo(x - size, y - side * size);
    context.lineTo(x + size, y + side * size);
  }
}
