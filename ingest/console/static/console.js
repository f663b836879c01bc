// The console's one script. Pages work without it: it keeps them current, counts ages on, shows
// local times, and sends a file straight to the lake by the link that the page has.

const FIRST = 2000, LONGEST = 15000;
const announce = document.querySelector("#announce");
let etag = document.documentElement.dataset.etag || "", wait = FIRST, timer;

function age(seconds) {
  if (seconds < 5) return "just now";
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= unit) return `${Math.floor(seconds / unit)} ${name} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

function countAges(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const text = age((Date.now() - moment) / 1000);
    if (time.textContent !== text) time.textContent = text;
    if (!time.dataset.local) {
      time.dataset.local = "1";
      time.title += ` (${moment.toLocaleString()} here)`;
    }
  }
}

// What has the focus keeps it: it is found again in the new part by its id or where it leads.
function refocus(part, held) {
  if (!held) return;
  const key = held.id ? `#${CSS.escape(held.id)}` : held.getAttribute("href")
    && `a[href="${CSS.escape(held.getAttribute("href"))}"]`;
  const found = key && part.querySelector(key);
  if (found) found.focus({ preventScroll: true });
}

function replaceRows(part, fresh) {
  const known = new Map([...part.querySelectorAll("tbody > tr[id]")].map((row) => [row.id, row.outerHTML]));
  part.replaceWith(fresh);
  for (const row of fresh.querySelectorAll("tbody > tr[id]")) {
    if (known.size && known.get(row.id) !== row.outerHTML) row.classList.add("fresh");
  }
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  let changed = 0;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh) continue;
    countAges(fresh);
    if (fresh.innerHTML === part.innerHTML) continue;
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    const left = part.scrollLeft;
    replaceRows(part, fresh);
    fresh.scrollLeft = left;
    refocus(fresh, held);
    changed += 1;
  }
  if (changed) announce.textContent = `The page has changed: ${changed} part${changed > 1 ? "s" : ""}.`;
}

async function poll() {
  if (document.hidden) return;
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const reply = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
    if (reply.status === 200) {
      const first = !etag;
      etag = reply.headers.get("etag") || "";
      if (first) wait = FIRST;
      show(await reply.text());
      wait = FIRST;
    } else if (reply.status === 401 || reply.type === "opaqueredirect") {
      announce.textContent = "Your session is over: load the page again to sign in.";
      return;
    } else {
      wait = Math.min(wait * 1.5, LONGEST);
    }
  } catch {
    wait = LONGEST;
  }
  timer = setTimeout(poll, wait);
}

async function send(event) {
  event.preventDefault();
  const form = event.target, status = form.querySelector("[data-status]");
  const file = form.querySelector("input[type=file]").files[0];
  if (!file) return;
  status.textContent = `Sending ${file.name} …`;
  try {
    const headers = { "x-ms-blob-type": "BlockBlob", "If-None-Match": "*", "Content-Type": "application/octet-stream" };
    const reply = await fetch(form.dataset.url, { method: "PUT", headers, body: file });
    status.textContent = reply.ok
      ? "It has landed. Its run appears in the list of runs within seconds."
      : `The lake answered ${reply.status}: ${reply.statusText}. Make a new link and try again.`;
  } catch {
    status.textContent = "The lake could not be reached from this page: its CORS rules may not name "
      + "this address. The command above does the same.";
  }
}

countAges();
setInterval(countAges, 5000);
if (document.querySelector("[data-live]")) {
  timer = setTimeout(poll, wait);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) { wait = FIRST; poll(); }
  });
}
for (const form of document.querySelectorAll("form[data-url]")) {
  form.hidden = false;
  form.addEventListener("submit", send);
}
