// Plots under the tree, with the same axis of time.
const plotBox = $("plots");
const shownPoints = new Map(); // per plot: [[x, y, row], ...] that can be clicked

function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((each) => each >= value * 0.9999);
}

function findTop(plot) {
  if (plot.top) return plot.top;
  const values = [...(plot.lines ?? []), plot.bars ?? []].flat().filter((each) => each !== null);
  const highest = values.reduce((a, b) => Math.max(a, b), plot.least ?? 0);
  return roundUp(plot.digits === 0 ? Math.max(highest, 2) : highest > 1e-9 ? highest : 1);
}

// the elements of the plots; made again if the lineage changes
function makePlots() {
  plotBox.replaceChildren();
  shownPoints.clear();
  for (const plot of series) {
    plot.topValue = findTop(plot);
    const title = document.createElement("h2");
    plot.title = document.createElement("span");
    title.append(`${plot.name} `);
    if (plot.second) {
      const mark = document.createElement("i");
      mark.textContent = `and ${plot.second} `;
      title.append(mark);
    }
    title.append(plot.title);
    plot.canvas = document.createElement("canvas");
    plot.canvas.className = "plot";
    plot.canvas.setAttribute("role", "img");
    plot.canvas.addEventListener("click", (event) => clickPlot(plot, event));
    plotBox.append(title, plot.canvas);
  }
  makeCurves(plotBox);
}

function drawAxes(context, plot, width, toY) {
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const level of [plot.bottom, (plot.bottom + plot.topValue) / 2, plot.topValue]) {
    context.strokeStyle = readColour("--line");
    context.beginPath();
    context.moveTo(MARGIN.left, toY(level));
    context.lineTo(width - MARGIN.right, toY(level));
    context.stroke();
    context.fillStyle = readColour("--quiet");
    const text = plot.digits === undefined ? String(Number(level.toPrecision(2))) : String(Number(level.toFixed(plot.digits || 1)));
    context.fillText(text, MARGIN.left - 6, toY(level));
  }
}

function traceLine(context, points, toX, toY) {
  context.beginPath();
  let before = null;
  for (const [frame, value] of points) {
    if (value === null) { before = null; continue; }
    if (before === null) context.moveTo(toX(frame), toY(value)); else context.lineTo(toX(frame), toY(value));
    before = frame;
  }
  context.stroke();
}

function drawPlot(plot, context, width, height) {
  const inside = (value) => Math.min(plot.topValue, Math.max(plot.bottom, value));
  const toY = (value) => height - 8 - ((inside(value) - plot.bottom) / (plot.topValue - plot.bottom)) * (height - 16);
  const toX = (frame) => frameToX(frame, width);
  drawAxes(context, plot, width, toY);
  const chosen = S.branch.size > 0;
  context.lineJoin = "round";
  context.lineWidth = 1.6;
  const colours = [readColour(chosen && !plot.second ? "--faint" : "--text"), readColour("--mark")];
  (plot.lines ?? []).forEach((line, k) => {
    context.strokeStyle = colours[k];
    traceLine(context, line.map((value, frame) => [frame, value]), toX, toY);
  });
  if (plot.bars) drawBars(context, plot.bars, toX, toY, width, readColour(chosen ? "--faint" : "--quiet"));
  const points = plot.points?.() ?? [];
  if (!plot.bars) drawPoints(context, points, toX, toY, () => readColour(chosen ? "--faint" : "--quiet"), 2.2);
  const own = chosen && plot.ofBranch ? plot.ofBranch() : {};
  context.strokeStyle = S.track >= 0 ? getColour(S.track) : readColour("--accent");
  context.lineWidth = 2;
  for (const line of own.lines ?? []) traceLine(context, line.map((value, frame) => [frame, value]), toX, toY);
  for (const [track, values] of own.tracks ?? []) {
    context.strokeStyle = getColour(track);
    context.lineWidth = track === S.track ? 2.4 : 1;
    traceLine(context, values, toX, toY);
  }
  drawPoints(context, own.points ?? [], toX, toY, (row) => getColour(C.track[row]), 3.6);
  const clickable = [...points, ...(own.tracks ?? []).flatMap(([, values]) => values)];
  shownPoints.set(plot, clickable.map(([frame, value, row]) => [toX(frame), toY(value), row]));
}

function drawBars(context, bars, toX, toY, width, colour) {
  const half = Math.max(0.5, (toX(1) - toX(0)) * 0.4);
  context.fillStyle = colour;
  bars.forEach((value, frame) => {
    if (value) context.fillRect(toX(frame) - half, toY(value), 2 * half, toY(0) - toY(value));
  });
}

function drawPoints(context, points, toX, toY, colour, radius) {
  for (const [frame, value, row] of points) {
    context.fillStyle = colour(row);
    context.beginPath();
    context.arc(toX(frame), toY(value), radius, 0, 7);
    context.fill();
  }
}

function drawPlots() {
  for (const plot of series) {
    if (!plot.canvas) makePlots();
    const key = [S.colourBy, S.palette, S.track, version].join();
    drawCursor(...drawLayered(plot.canvas, key, (...place) => drawPlot(plot, ...place)));
    const text = plot.describe();
    plot.title.textContent = text;
    plot.canvas.setAttribute("aria-label", `${plot.name}, frame ${S.frame}: ${text}`);
  }
  for (const curve of curves) drawLayered(curve.canvas, version, (...place) => drawCurve(curve, ...place));
}

// a click goes to the nearest point, or to the frame if there is none near
function clickPlot(plot, event) {
  const box = plot.canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let [nearest, least] = [-1, 8 ** 2];
  for (const [u, v, row] of shownPoints.get(plot)) {
    const distance = (u - x) ** 2 + (v - y) ** 2;
    if (distance < least) [nearest, least] = [row, distance];
  }
  if (nearest >= 0) goTo(frameOf[nearest], nearest); else goTo(xToFrame(x, box.width));
  announce(describeSelection());
}
