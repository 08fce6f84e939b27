// Colours: light and dark, and those of families and tracks.
// six colours that people with any colour vision tell apart, on white and on black (Paul Tol, "bright", 2021)
const SAFE = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];
const WRONG = "#f0a24a"; // in the result and not in the ground truth
const MISSED = "#6db3f2"; // in the ground truth and not in the result

let themeColours = new Map();

function readColour(name) {
  if (!themeColours.has(name)) {
    themeColours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return themeColours.get(name);
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  themeColours = new Map();
}

// order of the families and of the tracks in the tree: neighbours get different colours
let [familyRank, trackOrder, trackRank] = [null, null, null];
derive(() => {
  familyRank = new Map(T.roots.map((row, k) => [T.root[row], k]));
  trackOrder = Array.from({ length: N_TRACKS }, (_, row) => row).sort((a, b) => T.lane[a] - T.lane[b]);
  trackRank = new Int32Array(N_TRACKS);
  trackOrder.forEach((row, k) => { trackRank[row] = k; });
});

// from orange (0) over grey to blue (1), which differ in lightness too
function rateColour(confidence) {
  if (!Number.isFinite(confidence)) return "#9aa5b1";
  const ends = confidence < 0.5 ? [[240, 140, 40], [205, 195, 180]] : [[205, 195, 180], [70, 130, 220]];
  const part = confidence < 0.5 ? confidence * 2 : confidence * 2 - 1;
  return `rgb(${ends[0].map((value, k) => Math.round(value + (ends[1][k] - value) * part)).join(" ")})`;
}

function getColour(track) {
  if (S.colourBy === "confidence") return rateColour(T.confidence[track] ?? NaN);
  if (S.palette === "safe") {
    return SAFE[(S.colourBy === "family" ? familyRank.get(T.root[track]) : trackRank[track]) % SAFE.length];
  }
  return S.colourBy === "family" ? T.familyColour[track] : T.trackColour[track];
}

// a cell has the colour of its track; by confidence, that of the link to it
const getCellColour = (row) => (S.colourBy === "confidence" ? rateColour(C.confidence[row]) : getColour(C.track[row]));
