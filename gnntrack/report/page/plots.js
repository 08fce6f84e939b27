// Plots under the tree, with the same axis of time.
let [counts, confidences, least] = [null, null, 0];

derive(() => {
  counts = Array.from({ length: N_FRAMES }, (_, t) => C.first[t + 1] - C.first[t]);
  confidences = Array.from({ length: N_FRAMES }, (_, t) => {
    const known = [];
    for (let row = C.first[t]; row < C.first[t + 1]; row++) {
      if (Number.isFinite(C.confidence[row])) known.push(C.confidence[row]);
    }
    known.sort((a, b) => a - b);
    const pick = (fraction) => known[Math.min(known.length - 1, Math.floor(fraction * known.length))];
    return known.length ? { low: pick(0.05), median: pick(0.5) } : null;
  });
  least = Math.min(0.9, ...confidences.map((each) => (each ? each.low : 1)));
});

function drawPlot(canvas, values, [bottom, top], format) {
  const [context, width, height] = prepareCanvas(canvas);
  const toY = (value) => height - 8 - ((value - bottom) / (top - bottom)) * (height - 16);
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const level of [bottom, (bottom + top) / 2, top]) {
    context.strokeStyle = readColour("--line");
    context.beginPath();
    context.moveTo(MARGIN.left, toY(level));
    context.lineTo(width - MARGIN.right, toY(level));
    context.stroke();
    context.fillStyle = readColour("--quiet");
    context.fillText(format(level), MARGIN.left - 6, toY(level));
  }
  for (const [series, colour, lineWidth] of values) {
    context.strokeStyle = colour;
    context.lineWidth = lineWidth;
    context.lineJoin = "round";
    context.beginPath();
    let open = false;
    series.forEach((value, frame) => {
      if (value === null) { open = false; return; }
      const [x, y] = [frameToX(frame, width), toY(value)];
      if (open) context.lineTo(x, y); else context.moveTo(x, y);
      open = true;
    });
    context.stroke();
  }
  drawCursor(context, width, height);
}

function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 4, 5, 6, 8, 10].map((n) => n * power).find((each) => each >= value);
}

function drawPlots() {
  const whole = (value) => String(Math.round(value));
  drawPlot($("counts"), [[counts, readColour("--text"), 1.6]], [0, roundUp(Math.max(2, ...counts))], whole);
  $("counts-title").textContent = `Cells per frame: ${counts[S.frame]}`;
  $("counts").setAttribute("aria-label", `Cells per frame, ${counts[S.frame]} in frame ${S.frame}`);
  const low = confidences.map((each) => each && each.low);
  const median = confidences.map((each) => each && each.median);
  const range = [Math.floor(least * 10) / 10, 1];
  drawPlot($("confidence"), [[low, readColour("--mark"), 1.6], [median, readColour("--text"), 1.6]], range, (value) => value.toFixed(2));
  const here = confidences[S.frame];
  const [middle, lowest] = here ? [formatNumber(here.median, 3), formatNumber(here.low, 3)] : ["–", "–"];
  $("confidence-median").textContent = middle;
  $("confidence-low").textContent = lowest;
  $("confidence").setAttribute("aria-label", `Confidence of the links into frame ${S.frame}: median ${middle}, lowest 5 % ${lowest}`);
}

function listenToPlots() {
  for (const canvas of [$("counts"), $("confidence")]) {
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      goTo(xToFrame(event.clientX - box.left, box.width));
    });
  }
}
