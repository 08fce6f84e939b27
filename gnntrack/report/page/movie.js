// The movie: image, outlines, zoom and pan.
const view = $("view");
const zoom = { scale: 1, x: 0, y: 0, fitted: true };

function fitView() {
  const box = view.getBoundingClientRect();
  zoom.scale = Math.min(box.width / V.width, box.height / V.height) || 1;
  zoom.x = (box.width - V.width * zoom.scale) / 2;
  zoom.y = (box.height - V.height * zoom.scale) / 2;
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

function panBy(dx, dy) {
  [zoom.x, zoom.y, zoom.fitted] = [zoom.x + dx, zoom.y + dy, false];
  drawMovie();
}

const place = (row) => placePoint(locate(row));
const placePoint = ([u, v]) => [u * zoom.scale + zoom.x, v * zoom.scale + zoom.y];

function centreOn(point) {
  const box = view.getBoundingClientRect();
  zoom.x = box.width / 2 - point[0] * zoom.scale;
  zoom.y = box.height / 2 - point[1] * zoom.scale;
}

// move a point into the view if it is not in it
function showPoint(point) {
  if (zoom.fitted) return;
  const box = view.getBoundingClientRect();
  const [x, y] = placePoint(point);
  const margin = Math.min(40, box.width / 4);
  if (x >= margin && y >= margin && x <= box.width - margin && y <= box.height - margin) return;
  centreOn(point);
}

function showCell(row) {
  if (row >= 0) showPoint(locate(row));
}

// enlarge the movie around a point, so that the shape of a cell can be seen
function zoomToPoint(point) {
  zoom.scale = Math.max(zoom.scale, 20 / dotRadius);
  zoom.fitted = false;
  centreOn(point);
}

function prepareCanvas(canvas) {
  const [boxWidth, boxHeight] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.max(1, Math.round(boxWidth * ratio)), Math.max(1, Math.round(boxHeight * ratio))];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, boxWidth, boxHeight);
  return [context, boxWidth, boxHeight];
}

function drawMovie() {
  drawPicture();
  drawOutlines();
}

function drawPicture() {
  const loaded = loadPicture(S.frame);
  if (loaded && !loaded.picture) {
    loaded.wait.then(() => { if (loaded.name === nameFrame(S.frame)) drawPicture(); });
    return;
  }
  const [context] = prepareCanvas($("image"));
  const size = [V.width * zoom.scale, V.height * zoom.scale];
  context.imageSmoothingEnabled = zoom.scale < 3;
  if (loaded) {
    context.drawImage(loaded.picture, zoom.x, zoom.y, ...size);
    if (!performance.getEntriesByName("drawn").length) performance.mark("drawn");
  } else {
    context.strokeStyle = "#555";
    context.strokeRect(zoom.x, zoom.y, ...size);
  }
  for (let ahead = 1; ahead <= 6; ahead++) loadPicture(S.frame + ahead);
}

function drawOutlines() {
  const [context, width, height] = prepareCanvas($("overlay"));
  const cells = readOutlines(S.frame);
  if (S.outlines) drawCells(context, cells, width, height);
  drawTrail(context);
  if (S.outlines && S.numbers) drawNumbers(context, cells, width, height);
  if (S.mistakes) drawMistakes(context);
  drawEdits(context);
  if (S.cell >= 0 && frameOf[S.cell] === S.frame) drawSelected(context, findShape(S.cell, cells));
  if (S.scale) drawScale(context, width, height);
  $("overlay").setAttribute("aria-label", `Frame ${S.frame}: ${countNoun(C.first[S.frame + 1] - C.first[S.frame], "cell")}`);
}

function inMovie(context, draw) {
  context.save();
  context.translate(zoom.x, zoom.y);
  context.scale(zoom.scale, zoom.scale);
  draw();
  context.restore();
}

// whether a box of the view can be seen
function isSeen(box, width, height) {
  return box[2] * zoom.scale + zoom.x >= 0 && box[3] * zoom.scale + zoom.y >= 0
    && box[0] * zoom.scale + zoom.x <= width && box[1] * zoom.scale + zoom.y <= height;
}

function drawCells(context, cells, width, height) {
  const chosen = S.branch.size > 0;
  // without pictures, thousands of small cells are drawn without a rim, which takes half the time
  const plain = !hasPictures && C.first[S.frame + 1] - C.first[S.frame] > 700 && dotRadius * zoom.scale < 8;
  inMovie(context, () => {
    for (let row = C.first[S.frame]; row < C.first[S.frame + 1]; row++) {
      const shape = findShape(row, cells);
      if (!shape || !isSeen(shape.box, width, height)) continue;
      const inBranch = !chosen || S.branch.has(C.track[row]);
      context.strokeStyle = context.fillStyle = getCellColour(row);
      context.lineWidth = (chosen && inBranch ? 2.6 : 1.5) / zoom.scale;
      if (!hasPictures) {
        context.globalAlpha = (inBranch ? 0.45 : 0.25) * (plain ? 1.8 : 1);
        context.fill(shape.path);
      }
      if (plain && !(chosen && inBranch)) continue;
      context.globalAlpha = inBranch ? 1 : 0.55;
      const drawn = isDrawn(row); // a mask that gnntrack drew in a gap
      if (drawn) context.setLineDash([4 / zoom.scale, 3 / zoom.scale]);
      context.stroke(shape.path);
      if (drawn) context.setLineDash([]);
    }
  });
}

function drawSelected(context, shape) {
  if (!shape) return;
  inMovie(context, () => {
    for (const [colour, width] of [["#000", 5], ["#fff", 2.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width / zoom.scale;
      context.stroke(shape.path);
    }
  });
}

// the cell at a point of the view, -1 if there is none
function pickCell(clientX, clientY) {
  const box = view.getBoundingClientRect();
  const x = (clientX - box.left - zoom.x) / zoom.scale;
  const y = (clientY - box.top - zoom.y) / zoom.scale;
  const cells = readOutlines(S.frame);
  let nearest = -1;
  let least = Math.max(dotRadius * (cells ? 0.6 : 1), 6 / zoom.scale) ** 2;
  for (let row = C.first[S.frame]; row < C.first[S.frame + 1]; row++) {
    const shape = cells ? cells[row - C.first[S.frame]] : true;
    if (cells && shape && shape.contours.some((points) => isInside(points, x, y))) return row;
    if (!shape || (V.axis === "plane" && !cells && !findRadius(row))) continue;
    const [u, v] = locate(row);
    const distance = (u - x) ** 2 + (v - y) ** 2;
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
}

// ---- contrast: grey values of the pictures, 0 to 255, that are shown as black and white
function describeGrey(value) {
  const [low, high, gamma] = D.grey;
  const grey = low + (value / 255) ** (1 / gamma) * (high - low);
  return Math.abs(high - low) > 20 ? grey.toFixed(0) : grey.toPrecision(3);
}

function setContrast(black, white) {
  const top = Math.max(white, black + 1);
  [$("black").value, $("white").value] = [black, top];
  const [low, high] = [black / 255, top / 255];
  // brightness(b) contrast(c) shows grey g as (g b - 1/2) c + 1/2, which is to be (g - low) / (high - low)
  const c = 1 + (2 * low) / (high - low);
  $("image").style.filter = black === 0 && top === 255 ? "" : `brightness(${1 / (high - low) / c}) contrast(${c})`;
  $("contrast-range").textContent = `${describeGrey(black)} to ${describeGrey(top)}`;
}

// stretch the grey values of the frame that is shown
async function chooseContrast() {
  const loaded = loadPicture(S.frame);
  await loaded.wait;
  const scale = Math.min(1, 256 / Math.max(loaded.picture.width, loaded.picture.height));
  const [width, height] = [loaded.picture.width, loaded.picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(loaded.picture, 0, 0, width, height);
  const values = context.getImageData(0, 0, width, height).data.filter((_, k) => k % 4 === 0).sort();
  const pick = (fraction) => values[Math.min(values.length - 1, Math.floor(fraction * values.length))];
  setContrast(Math.min(254, pick(0.01)), Math.max(pick(0.995), 1));
}

function listenToContrast() {
  for (const each of document.querySelectorAll(".picture")) each.hidden = !hasPictures;
  if (!hasPictures) return;
  const [black, white] = [$("black"), $("white")];
  black.oninput = () => setContrast(Math.min(Number(black.value), Number(white.value) - 1), Number(white.value));
  white.oninput = () => setContrast(Number(black.value), Number(white.value));
  $("contrast-auto").onclick = chooseContrast;
  $("contrast-full").onclick = () => setContrast(0, 255);
  setContrast(0, 255);
}
