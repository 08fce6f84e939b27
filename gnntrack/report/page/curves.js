// Figures of the whole movie against a time lag or an age, each with an axis of its own.
const CURVE_BOTTOM = 34; // pixels below the axis, for its numbers and its unit
let curves = [];

function makeCurves(box) {
  curves = D.curves ?? [];
  for (const curve of curves) {
    const title = document.createElement("h2");
    const note = document.createElement("span");
    note.textContent = curve.note;
    title.append(`${curve.name} `, note);
    curve.canvas = document.createElement("canvas");
    curve.canvas.className = "plot curve";
    curve.canvas.setAttribute("role", "img");
    const last = curve.x.length - 1;
    const end = `${formatValue(curve.y[last])} ${curve.y_unit} at ${formatValue(curve.x[last])} ${curve.x_unit}`;
    curve.canvas.setAttribute("aria-label", `${curve.name}: ${curve.note}; ${end}`);
    box.append(title, curve.canvas);
  }
}

// the corners of a curve; a stepped one keeps its value until the next
function listCorners(curve, values) {
  const corners = [];
  values.forEach((value, k) => {
    if (curve.stepped && k > 0 && values[k - 1] !== null) corners.push([curve.x[k], values[k - 1]]);
    corners.push([curve.x[k], value]);
  });
  return corners;
}

function fillBetween(context, curve, toX, toY) {
  const known = ([, value]) => value !== null;
  const corners = [...listCorners(curve, curve.low).filter(known), ...listCorners(curve, curve.high).filter(known).reverse()];
  context.beginPath();
  corners.forEach(([x, y], k) => (k ? context.lineTo(toX(x), toY(y)) : context.moveTo(toX(x), toY(y))));
  context.fillStyle = readColour("--faint");
  context.globalAlpha = 0.5;
  context.fill();
  context.globalAlpha = 1;
}

function drawCurve(curve, context, width, height) {
  const end = curve.x[curve.x.length - 1] || 1;
  const top = curve.stepped ? 1 : roundUp(Math.max(...curve.y, ...curve.high)) || 1;
  const low = height - CURVE_BOTTOM;
  const toX = (x) => MARGIN.left + (x / end) * (width - MARGIN.left - MARGIN.right);
  const toY = (y) => low - (Math.min(top, Math.max(0, y)) / top) * (low - 8);
  drawAxes(context, { bottom: 0, topValue: top }, width, toY);
  context.textAlign = "center";
  const step = roundUp(end / 6);
  for (let tick = 0; tick <= end * 1.0001; tick += step) context.fillText(String(Number(tick.toPrecision(3))), toX(tick), low + 10);
  const unit = curve.y_unit ? `${curve.y_unit} against ${curve.x_unit}` : curve.x_unit;
  context.fillText(unit, (MARGIN.left + width - MARGIN.right) / 2, low + 25);
  fillBetween(context, curve, toX, toY);
  context.strokeStyle = readColour("--text");
  context.lineWidth = 1.6;
  traceLine(context, listCorners(curve, curve.y), toX, toY);
}
