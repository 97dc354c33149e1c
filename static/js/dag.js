// The canvas of the DAG page: pan, zoom, fit. The server drew it; only the part of it that is seen is decided here.
const MOST = 2, LEAST = 0.1, READABLE = 0.75, STEP = 1.25;
let view = null; // what is seen: its middle in the drawing's units, and the pixels per unit
let whole = null; // of the drawing as it came

const canvas = () => document.querySelector("[data-dag-canvas]");
const within = (low, value, high) => Math.min(Math.max(value, low), high);

function show(svg = canvas()) {
  const { width, height } = svg.getBoundingClientRect();
  const [w, h] = [width / view.k, height / view.k];
  svg.setAttribute("viewBox", `${view.x - w / 2} ${view.y - h / 2} ${w} ${h}`);
}

function middle(box) {
  const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(box.getAttribute(name)));
  return { x: x + width / 2, y: y + height / 2, width, height };
}

function fitting(svg) {
  const { width, height } = svg.getBoundingClientRect();
  return Math.min(width / whole.width, height / whole.height);
}

function fit(svg = canvas()) {
  view = { x: whole.x + whole.width / 2, y: whole.y + whole.height / 2, k: within(LEAST, fitting(svg), 1) };
  show(svg);
}

// at first: everything, if it can be read so; else the node that the page is about
function begin(svg) {
  whole = svg.viewBox.baseVal;
  whole = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
  fit(svg);
  const centre = svg.querySelector("[data-dag-centre]");
  if (view.k < READABLE && centre) {
    const { x, y } = middle(centre);
    view = { x, y, k: READABLE };
    show(svg);
  }
}

function zoom(factor, at) {
  const svg = canvas();
  const k = within(LEAST, view.k * factor, MOST);
  if (at) { // what is under the pointer stays there
    const { left, top, width, height } = svg.getBoundingClientRect();
    const [dx, dy] = [at.clientX - left - width / 2, at.clientY - top - height / 2];
    view.x += dx / view.k - dx / k;
    view.y += dy / view.k - dy / k;
  }
  view.k = k;
  show(svg);
}

function pan(dx, dy) {
  view.x -= dx / view.k;
  view.y -= dy / view.k;
  show();
}

const DO = { in: () => zoom(STEP), out: () => zoom(1 / STEP), fit: () => fit(), one: () => zoom(1 / view.k) };
const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dag-do]");
  if (button) DO[button.dataset.dagDo]();
});

document.addEventListener("keydown", (event) => {
  const arrow = event.target.closest?.("[data-dag-canvas]") && ARROWS[event.key];
  if (!arrow || event.metaKey || event.ctrlKey || event.altKey) return;
  event.preventDefault();
  pan(...arrow);
});

// the focus moves the canvas, not the page
document.addEventListener("focusin", ({ target }) => {
  const box = target.closest("[data-dag-canvas] foreignObject");
  if (!box || !target.matches(":focus-visible")) return;
  box.ownerSVGElement.parentElement.scrollTo(0, 0);
  const { x, y } = middle(box);
  view = { ...view, x, y };
  show();
});

// dragging; a press that hardly moved stays a click
const fingers = new Map();
let moved = 0;
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("[data-dag-canvas]") || event.button) return;
  fingers.set(event.pointerId, event);
  moved = 0;
});
document.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
  moved += Math.abs(dx) + Math.abs(dy);
  const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
  if (other) {
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoom(apart(event) / Math.max(apart(before), 1), event);
  } else pan(dx, dy);
  fingers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, (event) => fingers.delete(event.pointerId));
document.addEventListener("click", (event) => {
  if (moved > 6 && event.target.closest("[data-dag-canvas]")) {
    event.preventDefault();
    event.stopPropagation();
  }
}, true);
document.addEventListener("dragstart", (event) => {
  if (event.target.closest("[data-dag-canvas]")) event.preventDefault();
});

document.addEventListener("wheel", (event) => {
  if (!event.target.closest?.("[data-dag-canvas]")) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event);
}, { passive: false });

// a refresh brings the drawing as the server sees it: look at the same place again
document.addEventListener("htmx:after:swap", () => { if (canvas() && view) show(); });
addEventListener("resize", () => { if (canvas() && view) show(); });
if (canvas()) begin(canvas());
