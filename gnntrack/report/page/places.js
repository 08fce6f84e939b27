// The list at the side: places to check, or mistakes if there is a ground truth; filtered by kind, stepped through by keys.
let PLACES = null;
derive(() => {
  PLACES = {
    review: D.review.map(([kind, row, frame, , why]) => ({ kind, row, frame, why, point: null })),
    mistakes: (D.mistakes ?? []).map(([kind, row, frame, why, , places]) => {
      const lacking = places.find(([t]) => t === frame) ?? places[0];
      return { kind, row, frame, why, point: lacking ?? null };
    }),
  };
});
const CHUNK = 250; // entries that are made at a time
let listed = []; // indices of the entries that pass the filter
let items = []; // their elements, as far as they are made
const seenPlaces = new Set();

function makeItem(k) {
  const { kind, row, frame, why } = PLACES[S.list][k];
  const item = document.createElement("li");
  item.id = `place-${k}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", k === S.place);
  const [head, text] = [document.createElement("b"), document.createElement("small")];
  const where = row < 0 ? `Frame ${frame}` : `Frame ${frame}, track ${T.id[C.track[row]]}`;
  head.textContent = row < 0 && S.list === "review" ? where : `${where}: ${kind}`;
  text.textContent = why;
  if (seenPlaces.has(`${S.list}${k}`)) item.classList.add("seen");
  item.append(head, text);
  item.onclick = () => showPlace(k);
  return item;
}

function makeItems(count) {
  if (items.length >= Math.min(count, listed.length)) return;
  const more = listed.slice(items.length, count).map(makeItem);
  items.push(...more);
  $("review").append(...more);
}

function fillList() {
  listed = PLACES[S.list].map((_, k) => k).filter((k) => S.kind === "" || PLACES[S.list][k].kind === S.kind);
  items = [];
  $("review").replaceChildren();
  makeItems(CHUNK);
  if (listed.length) return;
  const item = document.createElement("li");
  item.textContent = S.list === "review" ? "No doubtful place was found." : "The result has no mistake.";
  $("review").replaceChildren(item);
}

function chooseList(name) {
  [S.list, S.kind, S.place] = [name, "", -1];
  const counts = new Map();
  for (const { kind } of PLACES[name]) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const total = PLACES[name].length;
  $("kind").replaceChildren(new Option(`all (${total})`, ""), ...[...counts].map(([kind, n]) => new Option(`${kind} (${n})`, kind)));
  $("kind-label").hidden = counts.size < 2;
  fillList();
}

// also after the lineage has changed
function makeLists() {
  const names = [["review", `To check (${PLACES.review.length})`]];
  if (D.mistakes) names.push(["mistakes", `Mistakes (${PLACES.mistakes.length})`]);
  $("list").replaceChildren(...names.map(([value, text]) => new Option(text, value)));
  $("list").onchange = () => { chooseList($("list").value); drawAll(); };
  $("kind").onchange = () => { [S.kind, S.place] = [$("kind").value, -1]; fillList(); drawAll(); };
  $("review").addEventListener("scroll", () => {
    const box = $("review");
    if (box.scrollTop + box.clientHeight > box.scrollHeight - 200) makeItems(items.length + CHUNK);
  });
  chooseList("review");
}

function stepPlace(step) {
  if (!listed.length) return;
  const at = Math.min(listed.length - 1, Math.max(0, listed.indexOf(S.place) + step));
  showPlace(listed[at]);
}

// only the list scrolls, and the movie stays where it is
function scrollInList(item) {
  const [box, own] = [$("review").getBoundingClientRect(), item.getBoundingClientRect()];
  if (own.top < box.top) $("review").scrollTop += own.top - box.top;
  else if (own.bottom > box.bottom) $("review").scrollTop += own.bottom - box.bottom;
}

// edits above the list make it shorter
function keepPlaceInView() {
  const current = items[listed.indexOf(S.place)];
  if (current) scrollInList(current);
}

function showPlace(k) {
  const at = listed.indexOf(k);
  makeItems(at + 20);
  const old = items[listed.indexOf(S.place)];
  for (const name of old ? ["aria-current", "aria-selected"] : []) old.removeAttribute(name);
  S.place = k;
  seenPlaces.add(`${S.list}${k}`);
  const { kind, row, frame, why, point } = PLACES[S.list][k];
  const item = items[at];
  item.setAttribute("aria-current", "true");
  item.setAttribute("aria-selected", "true");
  item.classList.add("seen");
  scrollInList(item);
  $("review").setAttribute("aria-activedescendant", item.id);
  const lookAt = row >= 0 ? () => locate(row) : point ? () => locateLacking(point) : null;
  if (row >= 0) followPlane(row);
  else if (point && V.axis === "plane") { V.plane = findPlane(point[1][0]); V.update(); }
  if (lookAt && zoom.fitted && dotRadius * zoom.scale < 14) zoomToPoint(lookAt());
  if (row >= 0) goTo(frame, row);
  else {
    select(-1);
    if (lookAt) showPoint(lookAt());
    goTo(frame);
  }
  announce(`${at + 1} of ${listed.length}: frame ${frame}, ${kind}: ${why}`);
}
