// The admin API: one place that sends, retries and tells apart "no", "who are you" and "nobody there".

export class ApiError extends Error {
  constructor(status, body) {
    super(body.msg || "The gateway answered " + status + ".");
    this.status = status;
    this.code = body.errorCode || "";
    this.details = body.details || {};
  }
}

// The key lives in this tab only: memory, and session storage so that a reload keeps it.
const SLOT = "weir.apiKey";
let apiKey = sessionStorage.getItem(SLOT) || "";
export const signedIn = () => apiKey !== "";
export function setKey(key, keep = true) {
  apiKey = key;
  if (key && keep) sessionStorage.setItem(SLOT, key); else sessionStorage.removeItem(SLOT);
}

// What app.js wants to know: the key was refused, the gateway went away or came back.
export const on = { refused() {}, gone() {}, back() {} };
let away = false;
export const isAway = () => away;

async function send(method, path, { body, etag, signal } = {}) {
  const headers = { authorization: "Bearer " + apiKey, accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (etag) headers["if-match"] = etag;
  let res;
  try {
    res = await fetch(path, {
      method, headers, signal, cache: "no-store", credentials: "omit", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    if (!away) { away = true; on.gone(); }
    throw new ApiError(0, { msg: "The gateway does not answer." });
  }
  if (away) { away = false; on.back(); }
  if (res.status === 401 && path !== "/try") on.refused(); // there it is the application's key that was refused
  return res;
}

async function call(method, path, options) {
  const res = await send(method, path, options);
  let data = null;
  const text = await res.text();
  try { data = text ? JSON.parse(text) : null; } catch { /* said below by the status */ }
  if (!res.ok) throw new ApiError(res.status, data && typeof data === "object" ? data : {});
  return { data, etag: res.headers.get("etag") };
}

export const api = {
  send,
  load: (path, signal) => call("GET", path, { signal }),
  get: async (path, signal) => (await call("GET", path, { signal })).data,
  post: async (path, body, signal) => (await call("POST", path, { body: body || {}, signal })).data,
  patch: (path, body, etag) => call("PATCH", path, { body, etag }),
  del: path => call("DELETE", path),

  // A whole list, page after page, to a limit that a person can still read.
  async list(path, most = 1000, signal) {
    const out = [];
    let next = path + (path.includes("?") ? "&" : "?") + "limit=100";
    while (next && out.length < most) {
      const page = await this.get(next, signal);
      const items = Object.values(page).find(Array.isArray) || [];
      out.push(...items);
      const uri = page.nextPageUri && new URL(page.nextPageUri, location.href);
      next = items.length && uri ? uri.pathname + uri.search : null;
    }
    out.more = !!next;
    return out;
  },
};

// The path of a resource; ids are data, not path.
export const at = (...parts) => "/" + parts.map(encodeURIComponent).join("/");
