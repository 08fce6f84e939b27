// Contradictions between edits: the rules of 'gnntrack apply-edits' (lineage/edits.py and lineage/constraints.py).
class RefusedEdit extends Error {}

const refuse = (reason) => { throw new RefusedEdit(reason); };
const describeCell = (row) => `cell ${C.label[row]} of frame ${frameOf[row]}`;
const isDrawn = (row) => C.kind !== null && D.cells.kinds[C.kind[row]] === "filled";

// the cell itself, or the one before or after it that was not drawn in a gap
function skipDrawn(row, step) {
  let found = row;
  for (let next = row; next >= 0; next = step(next)) {
    found = next;
    if (!isDrawn(next)) break;
  }
  return found;
}

const findEarlier = (row) => skipDrawn(row, (each) => C.past[each]);
const findLater = (row) => skipDrawn(row, (each) => listChildren(each).at(-1) ?? -1);

// an edit about masks that were in the input: a link to a drawn mask is the link over its gap, and a confirmation is
// what it confirms
function translateEdit({ kind, rows }) {
  if ((kind === "undivide" || kind === "spurious") && isDrawn(rows[0])) {
    refuse(`the mask of ${describeCell(rows[0])} was drawn in a gap; cut the link over the gap instead`);
  }
  const own = rows.map((row, k) => (k ? findLater(row) : findEarlier(row)));
  const drawn = own.find(isDrawn);
  if (drawn !== undefined) refuse(`there is no cell 0 of frame ${frameOf[drawn]}`);
  if (kind !== "confirm") return { kind, rows: own };
  const children = listChildren(own[0]).map(findLater).filter((row) => !isDrawn(row)).sort((a, b) => a - b);
  if (!children.includes(own[1])) {
    refuse(`the result has no link from ${describeCell(rows[0])} to ${describeCell(rows[1])}; join the cells instead`);
  }
  return children.length === 1 ? { kind: "join", rows: own } : { kind: "divide", rows: [own[0], ...children] };
}

class EditChecker {
  constructor() {
    this.past = new Map(); // of the second cell of a fixed link: the first one
    this.future = new Map(); // of the first cell: a set of the others
    this.cut = new Map(); // "source>target" -> name of the edit
    this.single = new Map();
    this.removed = new Map();
    this.fixedBy = new Map(); // end of a fixed link -> name of the edit
  }

  // add an edit, or throw the reason why it contradicts an earlier one
  add(edit, name) {
    const { kind, rows } = translateEdit(edit);
    const late = rows.slice(1).find((row) => frameOf[row] <= frameOf[rows[0]]);
    if (late !== undefined) refuse(`${describeCell(late)} is not later than ${describeCell(rows[0])}`);
    if (kind === "join" || kind === "divide") this.addLinks(rows, name);
    else if (kind === "cut") this.addCut(rows, name);
    else if (kind === "undivide") this.addSingle(rows[0], name);
    else this.addRemoved(rows[0], name);
  }

  addCut([source, target], name) {
    if (this.past.get(target) === source) {
      refuse(`${this.fixedBy.get(target)} links ${describeCell(source)} to ${describeCell(target)}`);
    }
    keepFirst(this.cut, `${source}>${target}`, name);
  }

  addSingle(row, name) {
    if ((this.future.get(row)?.size ?? 0) > 1) refuse(`${this.fixedBy.get(row)} divides ${describeCell(row)}`);
    keepFirst(this.single, row, name);
  }

  addRemoved(row, name) {
    if (this.fixedBy.has(row)) refuse(`${this.fixedBy.get(row)} links ${describeCell(row)}`);
    keepFirst(this.removed, row, name);
  }

  addLinks(rows, name) {
    const source = rows[0];
    const targets = new Set(rows.slice(1));
    for (const row of rows) {
      if (this.removed.has(row)) refuse(`${this.removed.get(row)} marks ${describeCell(row)} as spurious`);
    }
    const known = this.future.get(source) ?? new Set();
    const others = [...known].filter((row) => !targets.has(row));
    if (others.length && ![...targets].every((row) => known.has(row))) {
      refuse(`${this.fixedBy.get(source)} links ${describeCell(source)} to ${describeCell(Math.min(...others))}`);
    }
    const all = new Set([...targets, ...known]);
    if (all.size > 1 && this.single.has(source)) {
      refuse(`${this.single.get(source)} states that ${describeCell(source)} does not divide`);
    }
    for (const target of [...targets].sort((a, b) => a - b)) this.checkLink(source, target);
    this.future.set(source, all);
    for (const target of targets) this.past.set(target, source);
    for (const row of rows) keepFirst(this.fixedBy, row, name);
  }

  checkLink(source, target) {
    const cut = this.cut.get(`${source}>${target}`);
    if (cut) refuse(`${cut} cuts the link from ${describeCell(source)} to ${describeCell(target)}`);
    const past = this.past.get(target);
    if (past !== undefined && past !== source) {
      refuse(`${this.fixedBy.get(target)} links ${describeCell(past)} to ${describeCell(target)}`);
    }
  }
}

function keepFirst(names, key, name) {
  if (!names.has(key)) names.set(key, name);
}

// why the last of some edits cannot be used, or ""
function findContradiction(earlier, edit) {
  const same = earlier.findIndex((each) => each.kind === edit.kind && String(each.rows) === String(edit.rows));
  if (same >= 0) return `edit ${same + 1} is the same`;
  const checker = new EditChecker();
  try {
    earlier.forEach((each, k) => checker.add(each, `edit ${k + 1}`));
    checker.add(edit, `edit ${earlier.length + 1}`);
  } catch (error) {
    if (error instanceof RefusedEdit) return error.message;
    throw error;
  }
  return "";
}
