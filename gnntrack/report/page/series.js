// What the plots show: values per frame or per track of the movie, and those of the selected branch.



function summarise(values, fractions) {
  return Array.from({ length: N_FRAMES }, (_, t) => {
    const known = [];
    for (let row = C.first[t]; row < C.first[t + 1]; row++) if (Number.isFinite(values[row])) known.push(values[row]);
    known.sort((a, b) => a - b);
    return known.length ? fractions.map((part) => known[Math.min(known.length - 1, Math.floor(part * known.length))]) : null;
  });
}

const pickPart = (found, k) => found.map((each) => each && each[k]);

// per frame: tracks that divide in it
let dividing = null;

function listDividing() {
  const found = Array.from({ length: N_FRAMES }, () => []);
  daughtersOf.forEach((daughters, row) => { if (daughters.length > 1) found[T.end[row]].push(row); });
  return found;
}

// a track as values of its cells: [[frame, value, row], ...]
const followTrack = (track, values) => rowsOfTrack[track]
  .filter((row) => Number.isFinite(values[row])).map((row) => [frameOf[row], values[row], row]);

function makeCounts() {
  const counts = Array.from({ length: N_FRAMES }, (_, t) => C.first[t + 1] - C.first[t]);
  return {
    name: "Cells per frame", lines: [counts], bottom: 0, digits: 0,
    describe: () => `${counts[S.frame]}`,
    ofBranch: () => {
      const own = new Array(N_FRAMES).fill(null);
      for (const track of S.branch) for (const row of rowsOfTrack[track]) own[frameOf[row]] = (own[frameOf[row]] ?? 0) + 1;
      return { lines: S.branch.size > 1 ? [own] : [] };
    },
  };
}

function makeDivisions() {
  const counts = dividing.map((tracks) => tracks.length);
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return null;
  return {
    name: "Divisions per frame", bars: counts, bottom: 0, digits: 0,
    describe: () => `${counts[S.frame]} of ${total}`,
    points: () => dividing.flatMap((tracks, t) => tracks.map((track, k) => [t, k + 1, rowsOfTrack[track].at(-1)])),
    ofBranch: () => ({ points: [...S.branch].filter((track) => daughtersOf[track].length > 1).map((track) => [T.end[track], dividing[T.end[track]].indexOf(track) + 1, rowsOfTrack[track].at(-1)]) }),
  };
}

function makeConfidence() {
  const found = summarise(C.confidence, [0.5, 0.05]);
  if (found.every((each) => each === null)) return null;
  return {
    name: "Link confidence: median", second: "lowest 5 %", lines: [pickPart(found, 0), pickPart(found, 1)], top: 1, digits: 2,
    bottom: Math.floor(Math.min(0.9, ...found.map((each) => (each ? each[1] : 1))) * 10) / 10,
    describe: () => (found[S.frame] ? found[S.frame].map((value) => formatNumber(value, 3)).join(", ") : "–"),
    ofBranch: () => ({ tracks: listShown().map((track) => [track, followTrack(track, C.confidence)]) }),
  };
}

function makeCellPlot(name, values, unit) {
  if (!values) return null;
  const found = summarise(values, [0.5, 0.95]);
  if (found.every((each) => each === null)) return null;
  const highest = pickPart(found, 1).filter((each) => each !== null).sort((a, b) => a - b);
  return {
    name: `${name}: median`, unit, lines: [pickPart(found, 0)], bottom: 0, least: highest[Math.floor(0.9 * highest.length)],
    describe: () => (found[S.frame] ? `${formatValue(found[S.frame][0])} ${unit}` : "–"),
    ofBranch: () => ({ tracks: listShown().map((track) => [track, followTrack(track, values)]) }),
  };
}

// a point per track: rates at its middle, cycles at the division that ends them
function makeTrackPlot(name, values, unit, note, atEnd) {
  if (!values?.some((value) => value !== null)) return null;
  const points = [];
  values.forEach((value, track) => {
    const rows = rowsOfTrack[track];
    if (value !== null && rows.length) points.push([atEnd ? T.end[track] : (T.start[track] + T.end[track]) / 2, value, atEnd ? rows.at(-1) : rows[rows.length >> 1]]);
  });
  const sorted = points.map(([, value]) => value).sort((a, b) => a - b);
  const [low, high] = [sorted[Math.floor(0.01 * sorted.length)], sorted[Math.min(sorted.length - 1, Math.floor(0.99 * sorted.length))]];
  return {
    name, unit, bottom: low < 0 ? -roundUp(-low) : 0, least: high, points: () => points, clip: true,
    describe: () => {
      const own = S.track >= 0 ? values[S.track] : null;
      const movie = note || `median ${formatValue(sorted[sorted.length >> 1])} ${unit}`;
      return own === null || own === undefined ? movie : `${movie}; track ${T.id[S.track]}: ${formatValue(own)} ${unit}`;
    },
    ofBranch: () => ({ points: points.filter(([, , row]) => S.branch.has(C.track[row])) }),
  };
}

function makeMistakeCounts() {
  if (!D.mistakes?.length) return null;
  const counts = new Array(N_FRAMES).fill(0);
  for (const [, , frame] of D.mistakes) counts[frame] += 1;
  return { name: "Mistakes per frame", bars: counts, bottom: 0, digits: 0, describe: () => `${counts[S.frame]} of ${D.mistakes.length}` };
}

// the selected track first, and a few of its descendants
const listShown = () => (S.track < 0 ? [] : [...S.branch].slice(0, 40));

function formatValue(value) {
  if (!Number.isFinite(value)) return "unknown";
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toPrecision(size < 0.01 ? 2 : 3);
}

const makeSeries = () => [
  makeMistakeCounts(),
  makeCounts(),
  makeConfidence(),
  makeDivisions(),
  makeCellPlot("Speed", C.speed, D.units?.speed ?? ""),
  makeCellPlot(D.shape.length === 3 ? "Volume" : "Area", C.size, describeUnit()),
  makeCellPlot("Distance to the nearest cell", C.neighbour, D.unit === "um" ? "µm" : "px"),
  makeTrackPlot("Growth rate of each track", T.growth, D.units?.growth ?? "", "", false),
  makeTrackPlot("Length of cell cycles, at their end", T.cycle, D.units?.cycle ?? "", D.units?.notes[0] ?? "", true),
].filter((each) => each !== null);

let series = [];
derive(() => {
  dividing = listDividing();
  series = makeSeries();
});
