// Marks on the movie: past positions, numbers, mistakes, scale bar and time.
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

function drawNumbers(context, cells, width, height) {
  if (dotRadius * zoom.scale < 9) return;
  const size = Math.min(13, Math.max(9, dotRadius * zoom.scale * 0.6));
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = C.first[S.frame]; row < C.first[S.frame + 1]; row++) {
    const shape = cells ? cells[row - C.first[S.frame]] : findShape(row, null);
    if (shape && isSeen(shape.box, width, height)) writeText(context, String(T.id[C.track[row]]), ...place(row));
  }
}

// white on a dark rim, which can be read on any picture
function writeText(context, text, x, y, colour = "#fff") {
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 75%)";
  context.fillStyle = colour;
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

// ---- scale bar and time
function drawScale(context, width, height) {
  const size = D.spacing[D.spacing.length - 1] * (D.unit === "um" ? 1 : 1 / D.spacing[D.spacing.length - 1]);
  const wanted = (Math.min(width, V.width * zoom.scale) * 0.22 * size) / zoom.scale;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const length = [5, 2, 1].map((n) => n * power).find((each) => each <= wanted);
  const pixels = (length / size) * zoom.scale;
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "alphabetic";
  context.textAlign = "right";
  const [x, y] = [width - 12, height - 12];
  context.fillStyle = "rgb(0 0 0 / 75%)";
  context.fillRect(x - pixels - 1, y - 4, pixels + 2, 6);
  context.fillStyle = "#fff";
  context.fillRect(x - pixels, y - 3, pixels, 4);
  writeText(context, `${Number(length.toPrecision(3))} ${D.unit === "um" ? "µm" : "pixels"}`, x, y - 8);
  context.textAlign = "left";
  writeText(context, describeClock(S.frame), 12, height - 12);
}

function describeClock(frame) {
  if (!D.interval) return `frame ${frame}`;
  const seconds = frame * D.interval;
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const clock = `${two(seconds / 3600)}:${two((seconds / 60) % 60)}`;
  return D.interval % 60 ? `${clock}:${two(seconds % 60)} h` : `${clock} h`;
}

// ---- mistakes, if there is a ground truth: orange is in the result only, blue in the ground truth only
const MISTAKES = {
  "missed cell": { short: "MC", colour: MISSED }, "broken at a missed cell": { short: "BM", colour: MISSED },
  "split cell": { short: "SC", colour: WRONG }, "broken at a split cell": { short: "BS", colour: WRONG },
  "merged cells": { short: "M", colour: WRONG }, "broken at merged cells": { short: "BG", colour: WRONG },
  "spurious cell": { short: "SP", colour: WRONG }, "missed division": { short: "MD", colour: MISSED },
  "false division": { short: "FD", colour: WRONG }, "swap": { short: "SW", colour: WRONG },
  "false end": { short: "FE", colour: WRONG }, "false start": { short: "FS", colour: WRONG },
  "missed link": { short: "ML", colour: MISSED }, "wrong link": { short: "WL", colour: WRONG },
  "changed label": { short: "CL", colour: WRONG },
};
let mistakesByFrame = null;
derive(() => {
  mistakesByFrame = Array.from({ length: N_FRAMES }, () => []);
  for (const mistake of D.mistakes ?? []) {
    const [, , frame, , rows, places] = mistake;
    const seen = new Set([frame, ...rows.map((each) => frameOf[each]), ...places.map(([t]) => t)]);
    for (const t of seen) mistakesByFrame[t].push(mistake);
  }
});

function locateLacking([, centre]) {
  const [z, y, x] = centre.length === 3 ? centre : [0, ...centre];
  return locatePoint(x, y, z);
}

function drawMistakes(context) {
  const chosen = S.list === "mistakes" && S.place >= 0 ? D.mistakes[S.place] : null;
  for (const mistake of mistakesByFrame[S.frame]) {
    const [kind, , , , rows, places, links] = mistake;
    const { short, colour } = MISTAKES[kind];
    const points = [...rows.map(place), ...places.map((each) => placePoint(locateLacking(each)))];
    const isHere = [...rows.map((each) => frameOf[each]), ...places.map(([t]) => t)].map((t) => t === S.frame);
    const width = mistake === chosen ? 3.4 : 2;
    const size = Math.max(5, dotRadius * zoom.scale * 0.6);
    const linked = new Set(links.flatMap(([one, other]) => [one, other]));
    const alone = points.filter((_, k) => k < rows.length && !linked.has(k));
    const trace = kind === "spurious cell" ? traceCross : traceCircle;
    strokeMistake(context, WRONG, width, () => alone.forEach((point) => trace(context, point, size)));
    strokeMistake(context, MISSED, width, () => points.slice(rows.length).forEach((point) => traceCircle(context, point, size)));
    for (const lacks of [false, true]) {
      const shown = links.filter((each) => each[2] === lacks);
      strokeMistake(context, lacks ? MISSED : WRONG, width, () => {
        for (const [one, other] of shown) {
          context.moveTo(...points[one]);
          context.lineTo(...points[other]);
        }
      });
    }
    context.font = "600 11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    const at = points[Math.max(0, isHere.indexOf(true))];
    writeText(context, short, at[0] + Math.max(8, dotRadius * zoom.scale * 0.8), at[1], colour);
  }
}

function strokeMistake(context, colour, width, trace) {
  context.setLineDash(colour === MISSED ? [5, 4] : []);
  for (const [rim, wide] of [["rgb(0 0 0 / 75%)", 4.5], [colour, width]]) {
    context.strokeStyle = rim;
    context.lineWidth = wide;
    context.beginPath();
    trace();
    context.stroke();
  }
  context.setLineDash([]);
}

function traceCross(context, [x, y], size) {
  for (const side of [-1, 1]) {
    context.moveTo(x - size, y - side * size);
    context.lineTo(x + size, y + side * size);
  }
}

function traceCircle(context, [x, y], size) {
  context.moveTo(x + size * 1.5, y);
  context.arc(x, y, size * 1.5, 0, 7);
}
