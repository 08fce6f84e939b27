// The movie: image, outlines, zoom and pan.
const view = $("view");
const zoom = { scale: 1, x: 0, y: 0, fitted: true };
const bitmaps = new Map();

function loadPicture(frame) {
  if (!D.pictures || frame < 0 || frame >= N_FRAMES) return null;
  let loaded = bitmaps.get(frame);
  if (!loaded) {
    const picture = new Image();
    picture.src = `data:${D.pictures.kind};base64,${D.pictures.frames[frame]}`;
    loaded = { picture, ready: false, wait: picture.decode().then(() => { loaded.ready = true; }) };
    if (bitmaps.size > 40) bitmaps.delete(bitmaps.keys().next().value);
    bitmaps.set(frame, loaded);
  }
  return loaded;
}

function fitView() {
  const box = view.getBoundingClientRect();
  zoom.scale = Math.min(box.width / WIDTH, box.height / HEIGHT) || 1;
  zoom.x = (box.width - WIDTH * zoom.scale) / 2;
  zoom.y = (box.height - HEIGHT * zoom.scale) / 2;
  zoom.fitted = true;
}

function zoomAt(factor, x, y) {
  const scale = Math.min(Math.max(zoom.scale * factor, 0.05), 60);
  zoom.x = x - ((x - zoom.x) * scale) / zoom.scale;
  zoom.y = y - ((y - zoom.y) * scale) / zoom.scale;
  zoom.scale = scale;
  zoom.fitted = false;
  drawMovie();
}

// move a cell into the view if it is not in it
function showCell(row) {
  if (row < 0) return;
  const box = view.getBoundingClientRect();
  const x = C.x[row] * zoom.scale + zoom.x;
  const y = C.y[row] * zoom.scale + zoom.y;
  const margin = Math.min(40, box.width / 4);
  if (x >= margin && y >= margin && x <= box.width - margin && y <= box.height - margin) return;
  if (zoom.fitted) return;
  zoom.x = box.width / 2 - C.x[row] * zoom.scale;
  zoom.y = box.height / 2 - C.y[row] * zoom.scale;
}

// enlarge the movie around a cell, so that its shape can be seen
function zoomToCell(row) {
  const box = view.getBoundingClientRect();
  zoom.scale = Math.max(zoom.scale, 20 / dotRadius);
  zoom.x = box.width / 2 - C.x[row] * zoom.scale;
  zoom.y = box.height / 2 - C.y[row] * zoom.scale;
  zoom.fitted = false;
}

function prepareCanvas(canvas) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, box.width, box.height);
  return [context, box.width, box.height];
}

function drawMovie() {
  drawPicture();
  drawOutlines();
}

function drawPicture() {
  const loaded = loadPicture(S.frame);
  if (loaded && !loaded.ready) {
    loaded.wait.then(() => { if (bitmaps.get(S.frame) === loaded) drawPicture(); });
    return;
  }
  const [context] = prepareCanvas($("image"));
  context.imageSmoothingEnabled = zoom.scale < 3;
  if (loaded) context.drawImage(loaded.picture, zoom.x, zoom.y, WIDTH * zoom.scale, HEIGHT * zoom.scale);
  else {
    context.strokeStyle = "#555";
    context.strokeRect(zoom.x, zoom.y, WIDTH * zoom.scale, HEIGHT * zoom.scale);
  }
  for (let ahead = 1; ahead <= 4; ahead++) loadPicture(S.frame + ahead);
}

const getColour = (track) => (S.colourBy === "family" ? T.familyColour[track] : T.trackColour[track]);

function drawOutlines() {
  const [context] = prepareCanvas($("overlay"));
  const cells = readOutlines(S.frame);
  const first = C.first[S.frame];
  context.lineJoin = "round";
  if (S.outlines) {
    for (let row = first; row < C.first[S.frame + 1]; row++) drawCell(context, row, cells && cells[row - first]);
  }
  drawTrail(context);
  if (S.outlines && S.numbers) drawNumbers(context);
  drawEdits(context);
  if (S.cell >= 0 && frameOf[S.cell] === S.frame) drawSelected(context, S.cell, cells && cells[S.cell - first]);
  $("overlay").setAttribute("aria-label", `Frame ${S.frame}: ${countNoun(C.first[S.frame + 1] - first, "cell")}`);
}

const place = (row) => [(C.x[row] + 0.5) * zoom.scale + zoom.x, (C.y[row] + 0.5) * zoom.scale + zoom.y];

function tracePath(context, row, outline) {
  if (outline) return outline.path;
  const path = new Path2D();
  path.arc(C.x[row] + 0.5, C.y[row] + 0.5, dotRadius, 0, 7);
  return path;
}

function inMovie(context, draw) {
  context.save();
  context.translate(zoom.x, zoom.y);
  context.scale(zoom.scale, zoom.scale);
  draw();
  context.restore();
}

function drawCell(context, row, outline) {
  const inBranch = S.branch.size === 0 || S.branch.has(C.track[row]);
  const colour = getColour(C.track[row]);
  inMovie(context, () => {
    const path = tracePath(context, row, outline);
    context.globalAlpha = inBranch ? 1 : 0.55;
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = (S.branch.size && inBranch ? 2.6 : 1.5) / zoom.scale;
    if (!D.pictures) {
      context.globalAlpha *= 0.45;
      context.fill(path);
      context.globalAlpha /= 0.45;
    }
    context.stroke(path);
  });
}

function drawSelected(context, row, outline) {
  inMovie(context, () => {
    const path = tracePath(context, row, outline);
    for (const [colour, width] of [["#000", 5], ["#fff", 2.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width / zoom.scale;
      context.stroke(path);
    }
  });
}

function drawTrail(context) {
  if (S.cell < 0 || frameOf[S.cell] !== S.frame) return;
  context.beginPath();
  let row = S.cell;
  context.moveTo(...place(row));
  for (let n = 0; n < 15 && C.past[row] >= 0; n++) {
    row = C.past[row];
    context.lineTo(...place(row));
  }
  context.strokeStyle = "#fff";
  context.globalAlpha = 0.85;
  context.lineWidth = 1.5;
  context.stroke();
  context.globalAlpha = 1;
}

function drawNumbers(context) {
  if (dotRadius * zoom.scale < 9) return;
  const size = Math.min(13, Math.max(9, dotRadius * zoom.scale * 0.6));
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 70%)";
  context.fillStyle = "#fff";
  for (let row = C.first[S.frame]; row < C.first[S.frame + 1]; row++) {
    const [x, y] = place(row);
    const text = String(T.id[C.track[row]]);
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }
}

// the cell at a point of the view, -1 if there is none
function pickCell(clientX, clientY) {
  const box = view.getBoundingClientRect();
  const x = (clientX - box.left - zoom.x) / zoom.scale;
  const y = (clientY - box.top - zoom.y) / zoom.scale;
  const cells = readOutlines(S.frame);
  const first = C.first[S.frame];
  let nearest = -1;
  let least = Math.max(dotRadius * (cells ? 0.6 : 1), 6 / zoom.scale) ** 2;
  for (let row = first; row < C.first[S.frame + 1]; row++) {
    if (cells && cells[row - first].contours.some((points) => isInside(points, x, y))) return row;
    const distance = (C.x[row] + 0.5 - x) ** 2 + (C.y[row] + 0.5 - y) ** 2;
    if (distance < least) [nearest, least] = [row, distance];
  }
  return nearest;
}

function listenToMovie() {
  let start = null;
  view.addEventListener("pointerdown", (event) => {
    start = { x: event.clientX, y: event.clientY, left: zoom.x, top: zoom.y, moved: false };
    view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
    if (!start.moved && Math.hypot(dx, dy) < 4) return;
    start.moved = true;
    view.classList.add("drag");
    [zoom.x, zoom.y, zoom.fitted] = [start.left + dx, start.top + dy, false];
    drawMovie();
  });
  view.addEventListener("pointerup", (event) => {
    if (start && !start.moved) clickCell(pickCell(event.clientX, event.clientY));
    start = null;
    view.classList.remove("drag");
  });
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = view.getBoundingClientRect();
    zoomAt(Math.exp(-event.deltaY * 0.0016), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  const zoomCentre = (factor) => { const box = view.getBoundingClientRect(); zoomAt(factor, box.width / 2, box.height / 2); };
  $("zoom-in").onclick = () => zoomCentre(1.4);
  $("zoom-out").onclick = () => zoomCentre(1 / 1.4);
  $("zoom-fit").onclick = () => { fitView(); drawMovie(); };
  const setFilter = () => {
    $("image").style.filter = `brightness(${$("brightness").value}%) contrast(${$("contrast").value}%)`;
  };
  $("brightness").oninput = setFilter;
  $("contrast").oninput = setFilter;
}
