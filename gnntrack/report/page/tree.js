// The lineage tree: time runs to the right, a lane per track without daughters. Only what is visible is drawn.
const treeBox = $("tree-scroll");
const MARGIN = { left: 34, right: 12, top: 22 };
let laneHeight = 0;

const frameToX = (frame, width) => MARGIN.left + (frame / Math.max(1, N_FRAMES - 1)) * (width - MARGIN.left - MARGIN.right);

function xToFrame(x, width) {
  const frame = ((x - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (N_FRAMES - 1);
  return Math.min(N_FRAMES - 1, Math.max(0, Math.round(frame)));
}

function resizeTree() {
  const height = treeBox.clientHeight;
  if (!laneHeight) laneHeight = Math.min(26, Math.max(9, (height - MARGIN.top - 8) / Math.max(1, T.lanes)));
  const width = `${treeBox.clientWidth}px`; // without the scroll bar: the plots below have the same axis of time
  $("tree").style.width = width;
  $("tree").style.height = `${height}px`;
  $("tree-size").style.height = `${Math.max(height, MARGIN.top + T.lanes * laneHeight + 8)}px`;
}

let treeTop = 0; // treeBox.scrollTop, which is slow to read

const laneToY = (lane) => MARGIN.top + (lane + 0.6) * laneHeight - treeTop;

function chooseTicks(last) {
  for (let power = 1; ; power *= 10) {
    for (const n of [1, 2, 5]) {
      if (last <= 6 * n * power) return Array.from({ length: Math.floor(last / (n * power)) + 1 }, (_, k) => k * n * power);
    }
  }
}

// what does not change from frame to frame is drawn once, and copied
const layers = new Map();
let version = 0; // of the lineage
derive(() => { version += 1; });

function drawLayered(canvas, key, drawStatic) {
  const [context, width, height] = prepareCanvas(canvas);
  let layer = layers.get(canvas);
  const name = `${key}|${canvas.width}|${canvas.height}|${document.documentElement.dataset.theme}`;
  if (layer?.name !== name) {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const inner = copy.getContext("2d");
    inner.setTransform(context.getTransform());
    drawStatic(inner, width, height);
    layer = { name, copy };
    layers.set(canvas, layer);
  }
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(layer.copy, 0, 0);
  context.restore();
  return [context, width, height];
}

function drawTree() {
  treeTop = treeBox.scrollTop;
  const shown = [version, treeTop, laneHeight, S.colourBy, S.palette, S.track, S.list, S.place, S.kind, edits.length, mode?.kind];
  drawCursor(...drawLayered($("tree"), shown.join(), drawWholeTree));
  $("tree").setAttribute("aria-label", `Lineage tree: ${countNoun(N_TRACKS, "track")}, frame ${S.frame}`);
}

function drawWholeTree(context, width, height) {
  const [text, line] = [readColour("--quiet"), readColour("--line")];
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillStyle = text;
  context.strokeStyle = line;
  for (const tick of chooseTicks(N_FRAMES - 1)) {
    const x = frameToX(tick, width);
    context.beginPath();
    context.moveTo(x, MARGIN.top - 4);
    context.lineTo(x, height);
    context.stroke();
    context.fillText(String(tick), x, 13);
  }
  context.save();
  context.beginPath();
  context.rect(0, MARGIN.top - 3, width, height);
  context.clip();
  T.parent.forEach((_, row) => drawBranch(context, row, width, height));
  drawPlaces(context, width, height);
  drawRoots(context, text, height);
  context.restore();
}

function drawRoots(context, colour, height) {
  if (laneHeight < 9) return;
  context.textAlign = "right";
  context.fillStyle = colour;
  for (const row of T.roots) {
    const y = laneToY(T.lane[row]);
    if (y > 0 && y < height + 20) context.fillText(String(T.id[row]), MARGIN.left - 6, y + 4);
  }
}

function drawBranch(context, row, width, height) {
  const parent = T.parent[row];
  const y = laneToY(T.lane[row]);
  const top = parent >= 0 ? laneToY(T.lane[parent]) : y;
  if (Math.max(y, top) < -10 || Math.min(y, top) > height + 10) return;
  const inBranch = S.branch.has(row);
  context.globalAlpha = S.branch.size === 0 || inBranch ? 1 : 0.3;
  context.strokeStyle = getColour(row);
  context.lineWidth = inBranch ? 4 : Math.min(2.5, Math.max(1.2, laneHeight / 5));
  context.lineCap = "round";
  const x = frameToX(T.start[row], width);
  context.beginPath();
  if (parent >= 0) {
    context.moveTo(frameToX(T.end[parent], width), top);
    context.lineTo(x, y);
  } else context.moveTo(x, y);
  context.lineTo(Math.max(frameToX(T.end[row], width), x + 1.5), y);
  context.stroke();
  if (row === S.track) {
    context.globalAlpha = 1;
    context.strokeStyle = readColour("--text");
    context.lineWidth = 1;
    context.strokeRect(x - 5, y - 5, Math.max(frameToX(T.end[row], width) - x, 2) + 10, 10);
  }
  context.globalAlpha = 1;
}

// the places of the list as diamonds (to check) or squares (mistakes), edits as crosses
function drawPlaces(context, width, height) {
  const mark = (row, draw) => {
    if (row < 0) return;
    const y = laneToY(T.lane[C.track[row]]);
    if (y > 0 && y < height) draw(frameToX(frameOf[row], width), y);
  };
  const size = Math.min(4.5, Math.max(2, laneHeight / 2.4));
  context.lineWidth = 1;
  context.strokeStyle = readColour("--text");
  for (const k of listed) mark(PLACES[S.list][k].row, (x, y) => {
    context.beginPath();
    if (S.list === "review") {
      context.moveTo(x, y - size);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.lineTo(x - size, y);
      context.closePath();
    } else context.rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6);
    const own = S.list === "review" ? readColour("--panel") : MISTAKES[PLACES.mistakes[k].kind].colour;
    context.fillStyle = k === S.place ? readColour("--text") : own;
    context.fill();
    context.stroke();
  });
  context.strokeStyle = readColour("--mark");
  context.lineWidth = 2.5;
  for (const edit of edits) mark(edit.rows[edit.rows.length - 1], (x, y) => {
    context.beginPath();
    context.moveTo(x - 5, y - 5);
    context.lineTo(x + 5, y + 5);
    context.moveTo(x + 5, y - 5);
    context.lineTo(x - 5, y + 5);
    context.stroke();
  });
}

function drawCursor(context, width, height) {
  const x = frameToX(S.frame, width);
  context.strokeStyle = readColour("--accent");
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, height);
  context.stroke();
}

// the track at a point of the tree, -1 if there is none
function pickTrack(x, y, width) {
  treeTop = treeBox.scrollTop;
  let nearest = -1;
  let least = Math.max(6, laneHeight * 0.55);
  for (let row = 0; row < N_TRACKS; row++) {
    const [left, right] = [frameToX(T.start[row], width) - 4, frameToX(T.end[row], width) + 4];
    const distance = Math.abs(laneToY(T.lane[row]) - y);
    if (x >= left && x <= right && distance < least) [nearest, least] = [row, distance];
  }
  return nearest;
}

function showTrack(track) {
  if (track < 0) return;
  treeTop = treeBox.scrollTop;
  const y = laneToY(T.lane[track]);
  if (y < MARGIN.top + 6 || y > treeBox.clientHeight - 10) {
    treeBox.scrollTop += y - treeBox.clientHeight / 2;
  }
}

// select the next track of the tree, from top to bottom
function stepTrack(step) {
  if (!N_TRACKS) return;
  const now = S.track < 0 ? (step > 0 ? -1 : N_TRACKS) : trackRank[S.track];
  goToTrack(trackOrder[Math.min(N_TRACKS - 1, Math.max(0, now + step))]);
}

function goToTrack(track) {
  const row = findCell(track, Math.min(T.end[track], Math.max(T.start[track], S.frame)));
  goTo(frameOf[row], row);
}

// the whole tree on one page of paper
function fitTreeToPaper() {
  const before = laneHeight;
  laneHeight = Math.min(22, (1.15 * $("tree").clientWidth - MARGIN.top - 12) / Math.max(1, T.lanes));
  const height = MARGIN.top + T.lanes * laneHeight + 12;
  treeBox.scrollTop = 0;
  $("tree").style.height = `${height}px`;
  drawTree();
  return () => {
    laneHeight = before;
    resizeTree();
    drawAll();
  };
}

function listenToTree() {
  $("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const track = T.id.indexOf(Number($("find-track").value));
    if (track >= 0) goToTrack(track);
    announce(track >= 0 ? describeSelection() : `There is no track ${$("find-track").value}.`);
    $("find-track").setAttribute("aria-invalid", track < 0);
  });
  $("tree").addEventListener("click", (event) => {
    const box = $("tree").getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const track = y < MARGIN.top ? -1 : pickTrack(x, y, box.width);
    const frame = xToFrame(x, box.width);
    if (track < 0) return goTo(frame);
    const row = findCell(track, Math.min(T.end[track], Math.max(T.start[track], frame)));
    goTo(frameOf[row], row);
    announce(describeSelection());
  });
  treeBox.addEventListener("scroll", () => drawTree());
  const scale = (factor) => {
    const middle = (treeBox.scrollTop + treeBox.clientHeight / 2) / laneHeight;
    laneHeight = Math.min(40, Math.max(2, laneHeight * factor));
    resizeTree();
    treeBox.scrollTop = middle * laneHeight - treeBox.clientHeight / 2;
    drawTree();
  };
  $("tree-larger").onclick = () => scale(1.4);
  $("tree-smaller").onclick = () => scale(1 / 1.4);
}
