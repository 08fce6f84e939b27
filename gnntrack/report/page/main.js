// The state of the page, and what changes it.
const S = {
  frame: 0, cell: -1, track: -1, branch: new Set(), list: "review", kind: "", place: -1, colourBy: "family", palette: "many",
  outlines: true, numbers: true, mistakes: true, scale: true, timer: 0,
};

function describeTime(frame) {
  const seconds = D.interval ? frame * D.interval : null;
  const time = seconds === null ? "" : `, ${seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`}`;
  return `frame ${frame} of ${N_FRAMES - 1}${time}`;
}

function select(row, track = row >= 0 ? C.track[row] : -1) {
  S.cell = row;
  S.track = track;
  S.branch = listBranch(track);
}

// go to a frame, and select a cell of it; without a cell, the selected track is followed
function goTo(frame, row = null) {
  S.frame = Math.min(N_FRAMES - 1, Math.max(0, frame));
  if (row !== null) select(row);
  else if (S.track >= 0) followBranch();
  $("time").value = S.frame;
  $("time").setAttribute("aria-valuetext", describeTime(S.frame));
  $("clock").textContent = describeTime(S.frame);
  followPlane(S.cell);
  showCell(S.cell);
  showTrack(row !== null ? S.track : -1);
  drawAll();
}

// the cell of the selected track in this frame; before and after the track, that of the parent or none
function followBranch() {
  const row = findCell(S.track, S.frame);
  if (row >= 0 && frameOf[row] === S.frame) S.cell = row;
  else S.cell = -1;
}

function clickCell(row) {
  if (mode) return continueEdit(row);
  select(row);
  showTrack(S.track);
  drawAll();
  announce(row >= 0 ? describeSelection() : "No cell is selected.");
}

function drawAll() {
  drawMovie();
  drawTree();
  drawPlots();
  showSelection();
}

function togglePlay() {
  if (S.timer) {
    cancelAnimationFrame(S.timer);
    S.timer = 0;
  } else play();
  $("play").textContent = S.timer ? "Pause" : "Play";
}

// frames follow one another at the chosen rate, as far as the browser draws them
function play() {
  let due = performance.now();
  const advance = (now) => {
    S.timer = requestAnimationFrame(advance);
    if (now < due) return;
    const next = S.frame + 1 < N_FRAMES ? S.frame + 1 : 0;
    if (isWaiting(next)) return;
    due = Math.max(due + 1000 / Number($("rate").value), now - 100);
    goTo(next);
  };
  S.timer = requestAnimationFrame(advance);
}

// whether the picture of a frame is still being decoded
function isWaiting(frame) {
  const loaded = loadPicture(frame);
  return loaded !== null && loaded.picture === null;
}

function listenToPrint() {
  let restore = () => {};
  window.addEventListener("beforeprint", () => {
    const theme = document.documentElement.dataset.theme;
    setTheme("light");
    makeItems(listed.length);
    const back = fitTreeToPaper();
    drawPlots();
    restore = () => { setTheme(theme); back(); };
  });
  window.addEventListener("afterprint", () => restore());
  $("print").onclick = () => window.print();
}

function showFacts() {
  $("facts").textContent = D.facts.join(", ");
  $("notes").textContent = D.notes.join(" ");
  $("notes").hidden = D.notes.length === 0;
}

function start() {
  $("title").textContent = D.title;
  showFacts();
  $("scores").replaceChildren(...Object.entries(D.scores).map(([name, value]) => {
    const [item, number] = [document.createElement("span"), document.createElement("b")];
    number.textContent = value.toFixed(3);
    item.append(`${name} `, number);
    return item;
  }));
  $("time").max = N_FRAMES - 1;
  $("time").oninput = () => goTo(Number($("time").value));
  $("play").onclick = togglePlay;
  $("colour").onchange = () => { S.colourBy = $("colour").value; drawAll(); };
  $("outlines").onchange = () => { S.outlines = $("outlines").checked; drawOutlines(); };
  $("numbers").onchange = () => { S.numbers = $("numbers").checked; drawOutlines(); };
  $("palette").onchange = () => { S.palette = $("palette").value; drawAll(); };
  $("mistakes-shown").onchange = () => { S.mistakes = $("mistakes-shown").checked; drawOutlines(); };
  $("mistakes-label").hidden = !D.mistakes;
  $("scale-shown").onchange = () => { S.scale = $("scale-shown").checked; drawOutlines(); };
  $("next").onclick = () => stepPlace(1);
  $("previous").onclick = () => stepPlace(-1);
  $("undo").onclick = undoEdit;
  $("download").onclick = downloadEdits;
  $("editing").hidden = !D.fingerprint;
  for (const button of $("tools").children) button.onclick = () => startEdit(button.dataset.edit);
  $("help-button").onclick = () => $("help").showModal();
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.onchange = () => { setTheme(dark.matches ? "dark" : "light"); drawAll(); };
  $("theme").onclick = () => { setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); drawAll(); };
  makeLists();
  listenToMovie();
  listenToContrast();
  listenToViews();
  listenToTree();
  makePlots();
  listenToKeys();
  listenToPrint();
  const resize = () => { if (zoom.fitted) fitView(); resizeTree(); drawAll(); };
  new ResizeObserver(resize).observe(view);
  new ResizeObserver(resize).observe(treeBox);
  window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  showEdits();
  startLive();
  resize();
  goTo(0);
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
}

start();
