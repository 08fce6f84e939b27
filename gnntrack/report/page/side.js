// The side: values of the selected cell, places to check.
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
  if (row < 0) return values;
  values.unshift(["Cell", `label ${C.label[row]} in frame ${frameOf[row]}`]);
  const position = [C.x[row].toFixed(1), C.y[row].toFixed(1)];
  if (C.z) position.push(C.z[row].toFixed(1));
  values.push([C.z ? "x, y, z" : "x, y", `${position.join(", ")} px`]);
  if (C.size) values.push([C.z ? "Volume" : "Area", `${formatNumber(C.size[row], D.unit === "um" ? 2 : 0)} ${describeUnit()}`]);
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

let reviewItems = [];

function makeReview() {
  $("review-count").textContent = `(${D.review.length})`;
  reviewItems = D.review.map(([kind, row, frame, , why], k) => {
    const item = document.createElement("li");
    const [head, text] = [document.createElement("b"), document.createElement("small")];
    head.textContent = row < 0 ? `Frame ${frame}` : `Frame ${frame}, track ${T.id[C.track[row]]}: ${kind}`;
    text.textContent = why;
    item.append(head, text);
    item.onclick = () => showReview(k);
    return item;
  });
  if (!reviewItems.length) {
    const item = document.createElement("li");
    item.textContent = "No doubtful place was found.";
    $("review").replaceChildren(item);
    return;
  }
  $("review").replaceChildren(...reviewItems);
}

function showReview(k) {
  if (!reviewItems.length) return;
  const index = Math.min(reviewItems.length - 1, Math.max(0, k));
  if (S.review >= 0) reviewItems[S.review].removeAttribute("aria-current");
  S.review = index;
  const [, row, frame] = D.review[index];
  const item = reviewItems[index];
  item.setAttribute("aria-current", "true");
  item.classList.add("seen");
  item.scrollIntoView({ block: "nearest" });
  if (row >= 0 && zoom.fitted && dotRadius * zoom.scale < 14) zoomToCell(row);
  if (row >= 0) goTo(frame, row); else { select(-1); goTo(frame); }
}
