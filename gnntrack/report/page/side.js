// The side: values of the selected cell.
function listValues() {
  const row = S.cell;
  const track = row >= 0 ? C.track[row] : S.track;
  if (track < 0) return [];
  const values = [["Track", `${T.id[track]}, frames ${T.start[track]} to ${T.end[track]}`]];
  const named = (rows) => rows.map((each) => T.id[each]).join(", ");
  values.push(["Family", T.root[track]]);
  if (T.parent[track] >= 0) values.push(["Parent", T.id[T.parent[track]]]);
  if (daughtersOf[track].length) values.push(["Daughters", named(daughtersOf[track])]);
  if (T.confidence[track] !== null) values.push(["Track right", formatNumber(T.confidence[track], 3)]);
  if (T.division[track] !== null) values.push(["Division right", formatNumber(T.division[track], 3)]);
  if (Number.isFinite(T.growth?.[track] ?? NaN)) values.push(["Growth rate", `${formatValue(T.growth[track])} ${D.units.growth}`]);
  if (Number.isFinite(T.cycle?.[track] ?? NaN)) values.push(["Cell cycle", `${formatValue(T.cycle[track])} ${D.units.cycle}`]);
  if (row < 0) return values;
  values.unshift(["Cell", `label ${C.label[row]} in frame ${frameOf[row]}`]);
  const position = [C.x[row].toFixed(1), C.y[row].toFixed(1)];
  if (C.z) position.push(C.z[row].toFixed(1));
  values.push([C.z ? "x, y, z" : "x, y", `${position.join(", ")} px`]);
  if (C.size) values.push([C.z ? "Volume" : "Area", `${formatNumber(C.size[row], D.unit === "um" ? 2 : 0)} ${describeUnit()}`]);
  if (C.neighbour && Number.isFinite(C.neighbour[row])) values.push(["Nearest cell", `${formatValue(C.neighbour[row])} ${D.unit === "um" ? "µm" : "px"}`]);
  if (C.speed && Number.isFinite(C.speed[row])) values.push(["Speed", `${formatValue(C.speed[row])} ${D.units.speed}`]);
  if (C.past[row] >= 0) values.push(["Link from before", formatNumber(C.confidence[row], 3)]);
  if (C.kind && D.cells.kinds[C.kind[row]] !== "given") values.push(["Mask", D.cells.kinds[C.kind[row]]]);
  return values;
}

function describeUnit() {
  const power = D.shape.length === 3 ? "³" : "²";
  if (D.unit === "um") return `µm${power}`;
  return D.shape.length === 3 ? "voxels" : "pixels";
}

function showSelection() {
  const values = listValues();
  $("nothing").hidden = values.length > 0;
  $("values").replaceChildren(...values.flatMap(([name, value]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [name, String(value)];
    return [term, text];
  }));
  $("tools").hidden = !D.fingerprint || S.cell < 0;
  for (const button of $("tools").children) {
    button.disabled = S.cell < 0 || !TOOLS[button.dataset.edit](S.cell);
  }
}

const live = $("live");

// for screen readers
function announce(text) {
  live.textContent = text;
}

function describeSelection() {
  if (S.cell < 0) return `Frame ${S.frame}`;
  const parts = [`Frame ${S.frame}`, `track ${T.id[C.track[S.cell]]}`];
  if (Number.isFinite(C.confidence[S.cell])) parts.push(`link confidence ${formatNumber(C.confidence[S.cell])}`);
  const daughters = daughtersOf[C.track[S.cell]];
  if (daughters.length > 1 && T.end[C.track[S.cell]] === S.frame) parts.push(`divides into ${daughters.map((row) => T.id[row]).join(" and ")}`);
  return parts.join(", ");
}

// select the next cell of the frame
function stepCell(step) {
  const [first, last] = [C.first[S.frame], C.first[S.frame + 1] - 1];
  if (last < first) return;
  const here = S.cell >= first && S.cell <= last;
  const row = here ? S.cell + step : step > 0 ? first : last;
  goTo(S.frame, row > last ? first : row < first ? last : row);
  announce(describeSelection());
}
