// 'gnntrack serve': edits are sent to the server, which solves the movie again, and the page shows the new lineage.
const LIVE = D.live ?? null;
let sending = false;

async function post(path, content) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Gnntrack-Token": LIVE.token },
    body: JSON.stringify({ revision: LIVE.revision, ...content }),
  });
  const reply = await answer.json();
  if (!answer.ok) throw new Error(reply.error);
  return reply;
}

// send a request, and use the answer; one at a time, because an edit is about the cells that are shown
async function send(path, content, use) {
  if (sending) return showMessage("Not done: the edit before is still being solved.");
  sending = true;
  document.body.classList.add("sending");
  showMessage("Solving…");
  try {
    use(await post(path, content));
  } catch (error) {
    const lost = error instanceof TypeError; // no connection
    showMessage(lost ? "Not done: the server does not answer. Is 'gnntrack serve' still running?" : `Not done: ${error.message}.`);
  } finally {
    sending = false;
    document.body.classList.remove("sending");
  }
}

function showMessage(text) {
  $("message").textContent = text;
}

const sendEdit = (kind, rows) =>
  send("edit", { add: { kind, cells: rows.map((row) => [frameOf[row], C.label[row]]) } }, showUpdate);

const sendRemoval = (number) => send("edit", { remove: number }, showUpdate);

const saveResult = () => send("save", {}, (reply) => {
  LIVE.saved = true;
  showMessage(`Saved in ${reply.saved}.${reply.problem ? ` ${reply.problem}.` : ""}`);
  showSaving();
});

// show another lineage of the same movie
function showUpdate(reply) {
  if (reply.refused) return showMessage(`Not added: ${reply.refused}.`);
  const kept = keepPlace();
  const { data, outlines, problem, ...state } = reply;
  Object.assign(D, data);
  Object.assign(LIVE, state);
  replaceOutlines(outlines);
  for (const make of derivations) make();
  restorePlace(kept);
  showMessage(problem ? `${problem}.` : "");
  showLive();
}

// what is selected and reviewed, by frame and label in the input: these stay when tracks get other labels
function keepPlace() {
  const name = (row) => (row >= 0 ? [frameOf[row], C.identity[row]] : null);
  const names = namePlaces();
  return {
    cell: name(S.cell),
    track: name(S.cell < 0 && S.track >= 0 ? rowsOfTrack[S.track][0] : -1),
    scroll: treeBox.scrollTop,
    kind: S.kind,
    seen: names.filter((_, k) => seenPlaces.has(`review${k}`)),
    place: names[S.place],
    at: listed.indexOf(S.place),
  };
}

const namePlaces = () => PLACES.review.map(({ kind, row, frame }) => `${kind} ${frame} ${row >= 0 ? C.identity[row] : ""}`);

function findIdentity(place) {
  if (!place) return -1;
  const [frame, identity] = place;
  for (let row = C.first[frame]; row < C.first[frame + 1]; row++) if (C.identity[row] === identity) return row;
  return -1;
}

function restorePlace({ cell, track, scroll, ...list }) {
  const row = findIdentity(cell);
  const first = findIdentity(track);
  select(row, row >= 0 ? C.track[row] : first >= 0 ? C.track[first] : -1);
  showFacts();
  restoreList(list);
  makePlots();
  resizeTree();
  treeBox.scrollTop = scroll;
  drawAll();
}

// the list of places; if the one that was reviewed is gone, the next one is in its place
function restoreList({ kind, seen, place, at }) {
  const names = namePlaces();
  seenPlaces.clear();
  names.forEach((name, k) => { if (seen.includes(name)) seenPlaces.add(`review${k}`); });
  $("list").options[0].textContent = `To check (${names.length})`;
  chooseList("review");
  $("kind").value = kind;
  S.kind = $("kind").value;
  S.place = names.indexOf(place);
  fillList();
  const current = items[listed.indexOf(S.place)];
  if (current) current.setAttribute("aria-current", "true");
  else S.place = listed[at - 1] ?? -1;
}

function showLive() {
  edits.splice(0, edits.length, ...LIVE.edits);
  showEdits();
  showSaving();
  const { changes, changeCount, allChanges, overruled } = LIVE;
  const other = changeCount ? countNoun(changeCount, "other link") : "no other link";
  $("changes-title").textContent = `The last edit has changed ${other}`;
  $("changes-note").textContent = `All edits together: ${countNoun(allChanges, "other link")}.`;
  $("changes-note").hidden = allChanges === changeCount;
  $("changing").hidden = !edits.length && !allChanges && !overruled.length;
  const items = changes.map(([added, row, [source, target]]) => makeChange(
    `${added ? "Added" : "Removed"} ${nameLabel(source)} → ${nameLabel(target)}`, row, target[0],
  ));
  for (const [kind, cells, reason] of overruled) {
    items.push(makeChange(`Earlier edit not kept (${DESCRIBED[kind](cells.map(nameLabel))}): ${reason}`, -1, cells[0][0]));
  }
  if (changeCount > changes.length) items.push(makeChange(`and ${changeCount - changes.length} more`, -1, S.frame));
  $("changes").replaceChildren(...items);
}

function makeChange(text, row, frame) {
  const item = document.createElement("li");
  item.textContent = text;
  item.onclick = () => (row >= 0 ? goTo(frameOf[row], row) : goTo(frame));
  return item;
}

function showSaving() {
  $("download").disabled = LIVE.saved;
  $("download").textContent = "Save";
  $("download").title = LIVE.out;
}

function startLive() {
  if (!LIVE) return;
  $("editing").classList.add("live");
  $("download").onclick = saveResult;
  showLive();
}
