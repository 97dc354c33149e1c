// What the console does in the browser. Behaviour hangs on data-* attributes, so that fragments need no script of their own.
const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const TEXT = "input:not([type=checkbox], [type=radio]), textarea, select";
const isMac = /Mac|iP(hone|ad)/.test(navigator.platform);

// ---- times: relative on the page, absolute in the title and on a click
const relative = new Intl.RelativeTimeFormat(root.lang, { numeric: "auto", style: "narrow" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function say(time) {
  time.dataset.text ||= time.textContent;
  time.tabIndex = 0;
  const seconds = Math.round((new Date(time.dateTime) - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  const isAbsolute = time.dataset.absolute || Math.abs(seconds) > 30 * 86400;
  time.textContent = isAbsolute ? time.dataset.text : relative.format(Math.trunc(seconds / size), unit);
}

function tick() {
  all("time[data-relative]").forEach(say);
  all("time[data-clock]").forEach((clock) => {
    clock.textContent = new Intl.DateTimeFormat("en-GB", { timeZone: clock.dataset.clock, hour: "2-digit", minute: "2-digit" }).format();
  });
}

// ---- what is under way: bars and durations count on from what the server rendered; as the filter "duration" says them
const LASTING = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
function lasting(seconds) {
  const units = LASTING.map(([unit, size], index) => [Math.floor(seconds / size) % (index ? LASTING[index - 1][1] / size : Infinity), unit]);
  const first = Math.max(0, units.findIndex(([count]) => count));
  return units.slice(first, first + 2).filter(([count]) => count).map((unit) => unit.join(" ")).join(" ") || "0 s";
}

function elapse() {
  for (const element of all("[data-elapsed]")) {
    element.dataset.from ||= Date.now() - element.dataset.elapsed * 1000;
    const seconds = Math.floor((Date.now() - element.dataset.from) / 1000);
    if (element.matches("progress")) element.value = seconds;
    else element.textContent = lasting(seconds);
  }
}

// ---- refresh: elements with data-refresh="seconds" get the event "refresh"; not in a hidden tab, not while a form in them is edited
const refreshedAt = new WeakMap();
function refresh() {
  if (document.hidden) return;
  for (const element of all("[data-refresh]")) {
    const last = refreshedAt.get(element) ?? refreshedAt.set(element, Date.now()).get(element);
    const isEdited = element.contains(document.activeElement) && document.activeElement.matches(TEXT);
    if (isEdited || Date.now() - last < element.dataset.refresh * 1000 - 50) continue;
    refreshedAt.set(element, Date.now());
    element.dispatchEvent(new CustomEvent("refresh"));
  }
}

// what is not there any more, or not for who looks, is not asked for again
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if ([403, 404].includes(ctx.response?.status)) delete ctx.sourceElement.dataset.refresh;
});

// ---- choices kept in cookies, so that the server renders them right the first time
function choose({ choose: name, value, other }) {
  const chosen = other && root.dataset[name] === value ? other : value;
  root.dataset[name] = chosen;
  document.cookie = `${name}=${chosen}; path=/; max-age=31536000; samesite=lax`;
}

// ---- dialogs, drawers, toasts
let cameFrom = null;
function openDialog(dialog) {
  if (!dialog || dialog.open) return;
  if (document.activeElement !== document.body) cameFrom = document.activeElement;  // a dialog after a dialog leads back to the first button
  dialog.dataset.open === "beside" ? dialog.show() : dialog.showModal();
  dialog.querySelector(":is(input, select, textarea)[aria-invalid=true]")?.focus();  // what is wrong may lie below the fold
  all("[data-narrow]", dialog).forEach((input) => { input.value = ""; narrow(input); });
}

function close(element) {
  const dialog = element.closest("dialog, [data-toast]");
  if (!dialog?.matches("dialog")) return void dialog?.remove();
  dialog.close();
  if (cameFrom?.isConnected) cameFrom.focus();
}

function arrive() {
  openDialog(document.querySelector("#slot > dialog:not([open])"));
  all("[data-toast]:not([data-stays], [data-timed])").forEach((toast) => {
    toast.dataset.timed = setTimeout(() => toast.remove(), 6000);
  });
  all("[data-mod]").forEach((kbd) => { if (isMac) kbd.textContent = `⌘ ${kbd.dataset.mod}`; });
  all("[data-log]").forEach(showLog);
  tick();
  elapse();
  count();
  growTree();
  all(".picker [data-narrow]:focus").forEach(narrow);
}

// ---- selection
let lastBox = null;
function count() {
  for (const output of all("[data-count]")) {
    const form = output.closest("form");
    const chosen = all("[data-select]:checked", form).length;
    const matching = form?.querySelector("[data-select-matching]");
    if (matching && !chosen) matching.checked = false;
    output.textContent = matching?.checked ? matching.dataset.label : chosen;
  }
  for (const box of all("[data-select-all]")) {
    const boxes = all("[data-select]", box.closest("table"));
    const checked = boxes.filter((one) => one.checked).length;
    box.checked = checked > 0 && checked === boxes.length;
    box.indeterminate = checked > 0 && checked < boxes.length;
  }
}

function check(within, isChecked) {
  all("[data-select]", within).forEach((box) => { box.checked = isChecked; });
  count();
}

function select(box, withShift) {
  const boxes = all("[data-select]", box.closest("table"));
  const [start, end] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((a, b) => a - b);
  if (withShift && start >= 0) boxes.slice(start, end + 1).forEach((one) => { one.checked = box.checked; });
  lastBox = box;
  count();
}

// ---- trees of instances to tick: one that stands under several others is ticked in all places, and with it what leads to it
function tickTree(box) {
  const same = (value) => all("[data-tree] input").filter((one) => one.value === value);
  const leading = (item) => item ? [item, ...leading(item.parentElement.closest("li"))] : [];
  if (!box.checked) return void [...all("input", box.closest("li")), ...same(box.value)].forEach((one) => { one.checked = false; });
  const boxes = leading(box.closest("li")).map((item) => item.querySelector("input")).filter((one) => !one.disabled);
  boxes.flatMap((one) => same(one.value)).forEach((one) => { one.checked = true; });
}

function growTree() {
  const ticked = new Set(all("[data-tree] input:checked").map((one) => one.value));
  all("[data-tree] input").forEach((one) => { one.checked ||= ticked.has(one.value); });
}

// ---- rows: j and k move the focus along the rows' main links
function moveRow(step) {
  const rows = all("[data-row-link]");
  const here = rows.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
  const next = rows[here < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(here + step, 0), rows.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

// ---- lists narrowed as one types: the command palette, the workspace switcher
function narrow(input) {
  const words = input.value.toLowerCase().split(/[,，]/).pop().trim().split(" ");
  const items = all(input.dataset.narrow);
  items.forEach((item) => {
    item.hidden = !words.every((word) => item.textContent.toLowerCase().includes(word));
    item.classList.remove("is-active");
  });
  items.find((item) => !item.hidden)?.classList.add("is-active");
}

function narrowKey(event, input) {
  const items = all(input.dataset.narrow).filter((item) => !item.hidden);
  const here = items.findIndex((item) => item.classList.contains("is-active"));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    items[here]?.classList.remove("is-active");
    const next = items.at((here + step) % items.length);
    next?.classList.add("is-active");
    next?.scrollIntoView({ block: "nearest" });
  } else if (event.key === "Enter" && (items.length || input.value)) {
    const item = items[Math.max(here, 0)];
    (item?.querySelector("a") ?? item)?.click();
  } else return;
  event.preventDefault();
}

// ---- tasks chosen from what is found as one types: each brings the chip that it becomes
function pick(item) {
  const field = item.closest(".field"), input = field.querySelector("[data-narrow]");
  field.querySelector(".chips").append(item.querySelector("template").content);
  item.parentElement.replaceChildren();
  input.value = input.value.replace(/[^,，]*$/, "");
  input.focus();
}

// ---- logs
function showLog(log) {
  const lines = log.querySelector(".log-lines");
  log.querySelector("[data-log-error]").hidden = !log.querySelector(".is-error");
  if (lines && log.querySelector('[data-log-follow][aria-pressed="true"]')) lines.scrollTop = lines.scrollHeight;
  if (log.querySelector("[data-log-search]").value) searchLog(log, 0);
}

function goTo(log, line) {
  all(".is-current", log).forEach((one) => one.classList.remove("is-current"));
  line.classList.add("is-current");
  press(log.querySelector("[data-log-follow]"), false);
  line.scrollIntoView({ block: "center" });
}

function searchLog(log, step) {
  const word = log.querySelector("[data-log-search]").value.toLowerCase();
  const hits = all(".log-lines li[id]", log).filter((line) => {
    const isHit = word !== "" && line.lastElementChild.textContent.toLowerCase().includes(word);
    line.classList.toggle("is-hit", isHit);
    return isHit;
  });
  let at = hits.findIndex((line) => line.classList.contains("is-current"));
  if (step && hits.length) goTo(log, hits[(at = at < 0 ? 0 : (at + step + hits.length) % hits.length)]);
  log.querySelector("[data-log-hits]").textContent = word ? `${at + 1 || "–"} / ${hits.length}` : "";
}

function press(button, isOn = button?.getAttribute("aria-pressed") !== "true") {
  button?.setAttribute("aria-pressed", isOn);
  return isOn;
}

// ---- one listener for each kind of event
const CLICKS = {
  "[data-dialog]": (element) => openDialog(document.getElementById(element.dataset.dialog)),
  "[data-close]": close,
  "[data-choose]": (element) => choose(element.dataset),
  "[data-copy]": async (element) => {
    await navigator.clipboard.writeText(element.dataset.copy);
    element.classList.add("is-done");
    const live = document.getElementById("live");
    live.textContent = element.dataset.done ?? live.dataset.done;
    setTimeout(() => element.classList.remove("is-done"), 1500);
  },
  "time[data-relative]": (time) => { time.dataset.absolute = time.dataset.absolute ? "" : "1"; say(time); },
  "[data-pick]": pick,
  "[data-select]": (box, event) => select(box, event.shiftKey),
  "[data-select-matching]": () => count(),
  "[data-select-all]": (box) => check(box.closest("table"), box.checked),
  "[data-select-none]": (button) => check(button.closest("form"), false),
  "[data-log-error]": (button) => goTo(button.closest("[data-log]"), button.closest("[data-log]").querySelector(".is-error")),
  "[data-log-follow]": (button) => { press(button); showLog(button.closest("[data-log]")); },
  "[data-log-wrap]": (button) => button.closest("[data-log]").classList.toggle("is-wrapped", press(button)),
};

document.addEventListener("click", (event) => {
  for (const [selector, act] of Object.entries(CLICKS)) {
    const element = event.target.closest(selector);
    if (element) act(element, event);
  }
});

// a press on the backdrop closes a dialog
document.addEventListener("pointerdown", ({ target, clientX: x, clientY: y }) => {
  if (!target.matches("dialog:modal")) return;
  const box = target.getBoundingClientRect();
  if (x < box.left || x > box.right || y < box.top || y > box.bottom) close(target);
});

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-narrow]")) narrow(event.target);
  if (event.target.matches("[data-log-search]")) searchLog(event.target.closest("[data-log]"), 1);
});

document.addEventListener("change", (event) => {
  if (event.target.closest("[data-tree]")) tickTree(event.target);
  if (event.target.matches(".picker .chip input")) {
    event.target.closest(".field").querySelector("[data-narrow]").focus();
    event.target.closest(".chip").remove();
  }
  if (event.target.form?.matches("[data-send-on-change]") && !event.target.matches("[type=search]")) event.target.form.requestSubmit();
});

const KEYS = {
  j: () => moveRow(1), k: () => moveRow(-1),
  x: () => document.activeElement.closest("tr")?.querySelector("[data-select]")?.click(),
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => openDialog(document.getElementById("shortcuts")),
};
let typed = [];
function shortcut(event) {
  typed = [...typed, event.key].slice(-2);
  const keyed = [typed.join(" "), event.key].map((keys) => document.querySelector(`[data-key="${CSS.escape(keys)}"]`));
  const target = keyed.find((element) => element?.checkVisibility());
  const act = target ? () => target.click() : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  typed = [];
  act();
}

document.addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return openDialog(document.getElementById("palette"));
  }
  const { target } = event;
  if (event.key === "Escape") return void all("dialog.drawer[open]").forEach(close);
  if (target.matches("[data-narrow]")) return narrowKey(event, target);
  if (target.matches("[data-log-search]") && event.key === "Enter") return searchLog(target.closest("[data-log]"), event.shiftKey ? -1 : 1);
  if (target.matches(TEXT) || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog:modal")) return;
  shortcut(event);
});

// the wheel says: I read here; follow again by its button
document.addEventListener("wheel", (event) => {
  if (event.deltaY < 0) press(event.target.closest("[data-log]")?.querySelector("[data-log-follow]"), false);
}, { passive: true });

document.addEventListener("htmx:after:swap", arrive);
document.addEventListener("close", ({ target }) => {
  if (target.parentElement?.id !== "slot") return;
  target.remove();
  // something was asked for here: the page behind is to show it
  if (target.dataset.back) new URL(target.dataset.back, location).href === location.href ? location.reload() : location.assign(target.dataset.back);
}, true);
document.addEventListener("visibilitychange", () => { tick(); refresh(); });
setInterval(() => { refresh(); elapse(); }, 500);
setInterval(tick, 15000);
arrive();
