// The frame: sign-in, navigation, the view that the address names, and what is said when the gateway is not there.
import { h, fill, add, say } from "./dom.js";
import { api, setKey, signedIn, on, isAway } from "./api.js";
import { head, button, field, input, problem, note, empty, link } from "./ui.js";
import * as live from "./live.js";
import * as routes from "./routes.js";
import * as keys from "./keys.js";
import * as start from "./start.js";
import * as usage from "./usage.js";
import * as health from "./health.js";

const app = document.getElementById("app");
const VIEWS = {
  start: start.view, requests: live.view, usage: usage.view, health: health.view, configurations: routes.view,
  "access-keys": keys.accessKeys, "provider-keys": keys.providerKeys, providers: keys.providers, "api-keys": keys.apiKeys,
  settings: keys.settings,
};
const NAV = [
  ["", [["requests", "Requests"], ["usage", "Usage"], ["health", "Health"]]],
  ["Routing", [["configurations", "Configurations"], ["access-keys", "Access keys"], ["provider-keys", "Provider keys"], ["providers", "Providers"]]],
  ["Gateway", [["settings", "Settings"], ["api-keys", "API keys"], ["start", "First steps"]]],
];

// ---- Sign-in ----

function signIn(why) {
  current.abort();
  document.querySelectorAll("dialog").forEach(d => d.close()); // one that stayed open would lie over the form, and lock it
  document.title = "Sign in · weir";
  const key = input("", { type: "password", name: "key", autocomplete: "current-password" });
  const top = h("div", { class: "stack" }, why && note("warn", h("p", { role: "alert" }, why)));
  const form = h("form", { class: "form", onsubmit: async e => {
    e.preventDefault();
    fill(top);
    setKey(key.value.trim());
    try {
      if (!signedIn()) throw new Error("Enter an API key.");
      await api.get("/gateway-config");
      frame();
    } catch (x) {
      setKey("");
      fill(top, x.status === 401 ? problem({ message: "The gateway does not know this API key." }) : problem(x));
      key.focus();
    }
  } }, field("API key", key, { hint: "From the config (admin.apiKeys) or the file that weir named at its first start. Kept in this tab until you sign out or close it." }),
  h("button", { type: "submit", class: "main" }, "Sign in"));
  fill(app, h("main", { class: "sign", id: "main" }, h("h1", null, "weir"), h("p", { class: "soft" }, "Sign in to this gateway."), form, top));
  key.focus();
}

on.refused = () => {
  if (!document.querySelector(".frame")) return;
  setKey("");
  signIn("Your API key is not accepted any more: it was revoked, has expired, or the gateway was started anew without it. Sign in again to go on where you were.");
};

// ---- Frame ----

const banner = h("div", { class: "banner", role: "alert", hidden: true });
let main, side, retry;

on.gone = () => {
  banner.hidden = false;
  fill(banner, "The gateway does not answer. What you see may be old; trying again every two seconds.");
  retry = setInterval(() => api.send("GET", "/healthz").catch(() => {}), 2000);
};
on.back = () => {
  clearInterval(retry);
  banner.hidden = true;
  if (!document.querySelector(".frame")) return; // signed out: what is being typed there stays
  say("The gateway answers again.");
  // A form that is being edited keeps what was typed; everything else shows the present again.
  if (!document.querySelector("dialog[open], [data-edited]")) show();
};

function frame() {
  main = h("main", { id: "main" });
  const menu = button("Menu", () => menu.setAttribute("aria-expanded", side.classList.toggle("open")), "", { "aria-expanded": "false" });
  side = h("div", { class: "side" },
    h("div", { class: "top" }, h("a", { class: "brand", href: "#/requests" }, "weir"), menu),
    h("nav", { "aria-label": "Views" }, NAV.map(([title, views]) => [title && h("h2", null, title),
      views.map(([id, text]) => h("a", { href: "#/" + id, "data-view": id }, text))])),
    button("Sign out", () => { setKey(""); signIn(); }, "text"));
  fill(app, h("div", { class: "frame" }, side, h("div", null, banner, main)));
  show();
}

// ---- Router ----

let current = new AbortController();
let shown = location.hash;

export function go(hash) { location.hash === hash ? show() : location.hash = hash; }

async function firstView() {
  try {
    const [a, b] = await Promise.all([api.get("/access-keys?limit=1"), api.get("/provider-keys?limit=1")]);
    return Object.values(a).find(Array.isArray).length + Object.values(b).find(Array.isArray).length ? "#/requests" : "#/start";
  } catch { return "#/requests"; }
}

async function show() {
  if (!document.querySelector(".frame")) return; // at the door there is nothing to show
  if (!signedIn()) return signIn();
  if (!location.hash) { history.replaceState(null, "", await firstView()); }
  shown = location.hash;
  current.abort();
  const mine = current = new AbortController();
  const [path, query] = location.hash.slice(2).split("?");
  const [name, ...rest] = path.split("/").map(p => { try { return decodeURIComponent(p); } catch { return p; } });
  side.classList.remove("open");
  document.querySelectorAll("[data-view]").forEach(a =>
    a.dataset.view === name ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current"));
  const view = VIEWS[name];
  const at = { parts: rest, query: new URLSearchParams(query), signal: mine.signal, go, refresh: show };
  try {
    const content = view ? await view(at) : [head("Not here"), empty("There is no such view", "The address may be mistyped.", link("To the requests", "#/requests", "btn"))];
    if (mine.signal.aborted || !signedIn()) return;
    fill(main, content);
    const title = main.querySelector("h1");
    if (title && document.activeElement === document.body) title.focus({ preventScroll: true });
  } catch (e) {
    if (mine.signal.aborted || !signedIn()) return;
    const gone = e.status === 404;
    fill(main, head(gone ? "Not there" : "This did not work"),
      gone ? empty("It does not exist (any more)", e.message, link("Back to the list", "#/" + name, "btn")) : problem(e, show));
  }
}

addEventListener("hashchange", () => {
  if (location.hash === shown) return;
  if (document.querySelector("[data-edited]") && !confirm("Leave without saving your changes?")) {
    history.pushState(null, "", shown);
    return;
  }
  document.querySelectorAll("dialog").forEach(d => d.close());
  scrollTo(0, 0);
  if (document.activeElement) document.activeElement.blur();
  show();
});
addEventListener("beforeunload", e => { if (document.querySelector("[data-edited]")) e.preventDefault(); });

if (signedIn()) frame(); else signIn();
