// Views of the movie: the frame, a stack seen along an axis, or a plane of it. Pictures and outlines are decoded on demand.
const DEPTH = D.shape.length === 3 ? D.shape[0] : 1;
const Z_STEP = D.shape.length === 3 ? D.spacing[0] / D.spacing[2] : 1; // pixels of x per plane
const VIEW_NAMES = { z: "projection along z", y: "side, along y", x: "side, along x", plane: "plane" };

const V = { axis: "z", plane: 0, width: WIDTH, height: HEIGHT, pixel: [1, 1], own: D.views[0] };

function setView(axis, plane = V.plane) {
  const own = axis === "plane" ? D.views[0] : D.views.find((each) => each.axis === axis);
  const [width, height] = [axis === "x" ? DEPTH : WIDTH, axis === "y" ? DEPTH : HEIGHT];
  Object.assign(V, { axis, plane, own, pixel: own.pixel, width: width * own.pixel[0], height: height * own.pixel[1] });
}

const findPlane = (z) => D.planes.z.reduce((best, each, k) => (Math.abs(each - z) < Math.abs(D.planes.z[best] - z) ? k : best), 0);

// place of the centre of a cell in the view, in pixels of x
function locate(row) {
  return locatePoint(C.x[row], C.y[row], C.z ? C.z[row] : 0);
}

function locatePoint(x, y, z) {
  return [((V.axis === "x" ? z : x) + 0.5) * V.pixel[0], ((V.axis === "y" ? z : y) + 0.5) * V.pixel[1]];
}

// radius of the dot of a cell in the view; 0 if the plane does not cut it
function findRadius(row) {
  if (V.axis !== "plane") return dotRadius;
  const away = (C.z[row] - D.planes.z[V.plane]) * Z_STEP;
  return Math.abs(away) < dotRadius ? Math.sqrt(dotRadius ** 2 - away ** 2) : 0;
}

class Cache extends Map {
  constructor(most) { super(); this.most = most; }
  find(key, make) {
    let value = this.get(key);
    if (value === undefined) {
      value = make();
      if (this.size >= this.most) this.delete(this.keys().next().value);
      this.set(key, value);
    }
    return value;
  }
}

const nameFrame = (frame) => `${V.axis}${V.axis === "plane" ? V.plane : ""}:${frame}`;
const pictures = new Cache(48);
const outlines = new Cache(300);
const hasPictures = D.views[0].pictures !== null;
const hasOutlines = D.views[0].outlines !== null;

function loadPicture(frame) {
  if (!hasPictures || frame < 0 || frame >= N_FRAMES) return null;
  return pictures.find(nameFrame(frame), () => {
    const text = V.axis === "plane" ? D.planes.pictures[frame][V.plane] : V.own.pictures[frame];
    const loaded = { picture: null, name: nameFrame(frame) };
    const bytes = decodeBytes(text);
    const blob = new Blob([bytes], { type: bytes[0] === 0xff ? "image/jpeg" : "image/webp" });
    loaded.wait = createImageBitmap(blob).then((picture) => { loaded.picture = picture; });
    return loaded;
  });
}

// the contours of the cells of a frame: per cell a path, and flat arrays x0, y0, x1, y1, ...; null: cells are dots
function readOutlines(frame) {
  if (!hasOutlines) return null;
  return outlines.find(nameFrame(frame), () => {
    const inPlane = V.axis === "plane";
    const readNumber = startReading(inPlane ? D.planes.outlines[frame][V.plane] : V.own.outlines[frame]);
    const cells = new Array(C.first[frame + 1] - C.first[frame]).fill(null);
    let cell = inPlane ? 0 : -1;
    for (let left = inPlane ? readNumber() : cells.length; left > 0; left--) {
      cell += inPlane ? readNumber() : 1;
      cells[cell] = readContours(readNumber);
    }
    return C.outline ? cells.map((_, k) => cells[C.outline[C.first[frame] + k]]) : cells;
  });
}

// outlines of frames whose masks have changed; all are read again, because their order may have changed
function replaceOutlines(changed) {
  for (const [frame, found] of Object.entries(changed)) {
    for (const each of D.views) each.outlines[frame] = found[each.axis];
    if (D.planes) D.planes.outlines[frame] = found.planes;
  }
  outlines.clear();
}

function startReading(text) {
  const bytes = decodeBytes(text);
  let at = 0;
  return () => {
    let [value, shift] = [0, 0];
    for (;;) {
      if (at >= bytes.length) throw new Error("the outlines of this frame are cut short");
      const byte = bytes[at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
      shift += 7;
    }
  };
}

function readContours(readNumber) {
  const readStep = () => { const value = readNumber(); return (value >>> 1) ^ -(value & 1); };
  const contours = [];
  const path = new Path2D();
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let k = readNumber(); k > 0; k--) {
    const points = new Float32Array(2 * readNumber());
    let [x, y] = [0.5, 0.5];
    for (let i = 0; i < points.length; i += 2) {
      x += readStep();
      y += readStep();
      const [u, v] = [x * V.pixel[0], y * V.pixel[1]];
      [points[i], points[i + 1]] = [u, v];
      if (i) path.lineTo(u, v); else path.moveTo(u, v);
      [box[0], box[1], box[2], box[3]] = [Math.min(box[0], u), Math.min(box[1], v), Math.max(box[2], u), Math.max(box[3], v)];
    }
    path.closePath();
    contours.push(points);
  }
  return { contours, path, box };
}

// the outline of a cell in the view, null if it is not in it
function findShape(row, cells) {
  if (cells) return cells[row - C.first[frameOf[row]]];
  const radius = findRadius(row);
  if (!radius) return null;
  const [u, v] = locate(row);
  const path = new Path2D();
  path.arc(u, v, radius, 0, 7);
  return { contours: [], path, box: [u - radius, v - radius, u + radius, v + radius] };
}

function listenToViews() {
  $("stack-bar").hidden = D.shape.length !== 3;
  if (D.shape.length !== 3) return;
  const names = D.planes ? ["z", "plane", "y", "x"] : ["z", "y", "x"];
  $("axis").replaceChildren(...names.map((name) => new Option(VIEW_NAMES[name], name)));
  const update = () => {
    const inPlane = V.axis === "plane";
    $("axis").value = V.axis;
    $("plane").hidden = $("plane-name").hidden = !inPlane;
    if (!inPlane) return;
    $("plane").max = D.planes.z.length - 1;
    $("plane").value = V.plane;
    const depth = D.unit === "um" ? `, ${(D.planes.z[V.plane] * D.spacing[0]).toFixed(1)} µm` : "";
    $("plane-name").textContent = `z ${D.planes.z[V.plane]} of ${DEPTH - 1}${depth}`;
  };
  V.update = update;
  $("axis").onchange = () => {
    if ($("axis").value === "plane" && S.cell >= 0) V.plane = findPlane(C.z[S.cell]);
    setView($("axis").value);
    fitView();
    update();
    drawMovie();
  };
  $("plane").oninput = () => choosePlane(Number($("plane").value));
  V.plane = D.planes ? D.planes.z.length >> 1 : 0;
  update();
}

function choosePlane(plane) {
  if (!D.planes) return;
  setView("plane", Math.min(D.planes.z.length - 1, Math.max(0, plane)));
  V.update();
  drawMovie();
}

// the plane of a cell, if a plane is shown
function followPlane(row) {
  if (V.axis !== "plane" || row < 0) return;
  V.plane = findPlane(C.z[row]);
  V.update();
}
