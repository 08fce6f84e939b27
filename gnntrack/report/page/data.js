// The data of the page as typed arrays.
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function decodeBytes(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function unpack(text, kind) {
  return text === undefined ? null : new kind(decodeBytes(text).buffer);
}

// What depends on the lineage is made by functions that run again when the lineage changes ('gnntrack serve').
const derivations = [];
function derive(make) {
  derivations.push(make);
  make();
}

const N_FRAMES = D.frames;
const HEIGHT = D.shape[D.shape.length - 2];
const WIDTH = D.shape[D.shape.length - 1];
let [C, N_CELLS, T, N_TRACKS] = [null, 0, null, 0]; // columns of the cells and of the tracks, and their numbers
let [frameOf, childrenOf, daughtersOf, rowsOfTrack] = [null, null, null, null];

derive(() => {
  C = {
    first: unpack(D.cells.first, Int32Array),
    label: unpack(D.cells.label, Int32Array),
    track: unpack(D.cells.track, Int32Array),
    past: unpack(D.cells.past, Int32Array),
    x: unpack(D.cells.x, Float32Array),
    y: unpack(D.cells.y, Float32Array),
    z: unpack(D.cells.z, Float32Array),
    size: unpack(D.cells.size, Float32Array),
    neighbour: unpack(D.cells.neighbour, Float32Array),
    confidence: unpack(D.cells.confidence, Float32Array),
    speed: unpack(D.cells.speed, Float32Array),
    kind: unpack(D.cells.kind, Uint8Array),
    outline: unpack(D.cells.outline, Int32Array), // position among the outlines of the frame; null: as the rows
    identity: unpack(D.cells.identity, Int32Array),
  };
  T = D.tracks;
  [N_CELLS, N_TRACKS] = [C.label.length, T.id.length];
  frameOf = new Int32Array(N_CELLS);
  for (let t = 0; t < N_FRAMES; t++) frameOf.fill(t, C.first[t], C.first[t + 1]);
  childrenOf = Array.from({ length: N_CELLS }, () => null);
  for (let row = 0; row < N_CELLS; row++) {
    const past = C.past[row];
    if (past >= 0) (childrenOf[past] ??= []).push(row);
  }
  daughtersOf = Array.from({ length: N_TRACKS }, () => []);
  T.parent.forEach((parent, row) => { if (parent >= 0) daughtersOf[parent].push(row); });
  rowsOfTrack = Array.from({ length: N_TRACKS }, () => []);
  for (let row = 0; row < N_CELLS; row++) rowsOfTrack[C.track[row]].push(row);
});

const listChildren = (row) => childrenOf[row] ?? [];

// the cell of a track in a frame, else the last one before it, else its first one
function findCell(track, frame) {
  let found = rowsOfTrack[track][0] ?? -1;
  for (const row of rowsOfTrack[track]) if (frameOf[row] <= frame) found = row;
  return found;
}

function findRow(frame, label) {
  for (let row = C.first[frame]; row < C.first[frame + 1]; row++) if (C.label[row] === label) return row;
  return -1;
}

// a track and all its descendants
function listBranch(track) {
  const found = new Set();
  const stack = track >= 0 ? [track] : [];
  while (stack.length) {
    const next = stack.pop();
    found.add(next);
    stack.push(...daughtersOf[next]);
  }
  return found;
}

// radius of a dot in pixels of x, from the median size if it is known
const dotRadius = (() => {
  if (!C.size || !N_CELLS) return Math.max(2, Math.max(WIDTH, HEIGHT) / 150);
  const pixel = D.spacing[D.spacing.length - 1] ** D.spacing.length;
  const median = Float32Array.from(C.size).sort()[N_CELLS >> 1] / pixel;
  return D.shape.length === 3 ? Math.cbrt(median / 4.19) : Math.sqrt(median / 3.14);
})();

function isInside(points, x, y) {
  let inside = false;
  for (let i = 0, j = points.length - 2; i < points.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [points[i], points[i + 1], points[j], points[j + 1]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

const formatNumber = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : "unknown");
const countNoun = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
