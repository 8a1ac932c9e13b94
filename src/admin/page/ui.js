// The parts that views are made of: buttons, fields, tables, dialogs, lists that can be put in order.
import { h, add, fill, say } from "./dom.js";

let serial = 0;
export const uid = () => "n" + ++serial;

export function button(text, onclick, kind, more) {
  return h("button", { type: "button", class: kind, onclick, ...more }, text);
}

// Runs an action behind a button: one at a time, the button shows that it works.
export const busy = (text, action, kind) => button(text, async e => {
  const b = e.currentTarget;
  b.disabled = true;
  try { await action(); } finally { b.disabled = false; }
}, kind);

export const link = (text, href, kind) => h("a", { href, class: kind }, text);
export const tag = (text, kind) => h("span", { class: "tag " + (kind || "") }, text);
export const code = text => h("code", null, text);

export function head(title, intro, ...actions) {
  document.title = title + " · weir";
  return h("header", { class: "head" },
    h("div", null, h("h1", { tabindex: "-1" }, title), intro && h("p", { class: "soft" }, intro)),
    h("div", { class: "row" }, actions));
}

export const empty = (title, text, ...actions) =>
  h("div", { class: "empty" }, h("h2", null, title), h("p", { class: "soft" }, text), h("div", { class: "row" }, actions));

export const problem = (e, again) => h("div", { class: "note bad", role: "alert" },
  h("p", null, e.message), again && button("Try again", again));

export const note = (kind, ...kids) => h("div", { class: "note " + kind }, kids);

// ---- Fields ----

// path is the name the API has for the field: its errors find their way back by it.
export function field(label, input, { hint, path, wide } = {}) {
  const id = uid();
  input.id = id;
  const describe = [hint && id + "h", id + "e"].filter(Boolean).join(" ");
  input.setAttribute("aria-describedby", describe);
  return h("div", { class: "field" + (wide ? " wide" : ""), "data-path": path },
    h("label", { for: id }, label), input,
    hint && h("p", { class: "hint", id: id + "h" }, hint), h("p", { class: "err", id: id + "e" }));
}

export const input = (value, more) => h("input", { type: "text", value: value ?? "", autocomplete: "off", spellcheck: "false", ...more });
export const area = (value, more) => h("textarea", { value: value ?? "", rows: "3", spellcheck: "false", ...more });
export const select = (value, options, more) => h("select", more,
  options.map(o => { const [v, t] = Array.isArray(o) ? o : [o, o]; return h("option", { value: v, selected: v === value }, t); }));
export const check = (label, checked, more) =>
  h("label", { class: "check" }, h("input", { type: "checkbox", checked, ...more }), h("span", null, label));

const plain = path => path.replace(/\[(\d+)\]/g, ".$1").replace(/^\.|^\//, "").replaceAll("/", ".");

export function clearErrors(root) {
  root.querySelectorAll(".err").forEach(e => { e.textContent = ""; });
  root.querySelectorAll("[aria-invalid]").forEach(e => e.removeAttribute("aria-invalid"));
}

// Puts the API's words at the field that they are about; what has no field goes on top. The nearest enclosing field takes
// what is said about something inside it.
export function showErrors(root, top, e) {
  clearErrors(root);
  fill(top);
  const said = Object.entries(e.details || {}).filter(([k]) => k !== "operation_id" && k !== "requestId");
  let first = null;
  for (const [key, text] of said) {
    const isField = key === "field";
    let path = plain(isField ? text : key), at = null;
    for (;;) {
      at = [...root.querySelectorAll("[data-path]")].find(f => plain(f.dataset.path) === path);
      if (at || !path.includes(".")) break;
      path = path.slice(0, path.lastIndexOf("."));
    }
    if (!at) continue;
    const box = [...at.querySelectorAll(".err")].pop();
    const on = at.querySelector("input,select,textarea");
    if (!box) continue;
    box.textContent = isField ? e.message : text;
    if (on) on.setAttribute("aria-invalid", "true");
    first = first || on || box;
  }
  if (first) first.focus(); else fill(top, problem(e));
}

// ---- Tables ----

// columns: [title, row => content, class]. On narrow screens each row becomes a block with the titles in it.
export function table(caption, columns, rows, more) {
  return h("table", { class: "list" },
    h("caption", { class: "hide" }, caption),
    h("thead", null, h("tr", null, columns.map(c => h("th", { scope: "col", class: c[2] }, c[0] || h("span", { class: "hide" }, "Actions"))))),
    h("tbody", null, rows.map(r => h("tr", more && more(r),
      columns.map(c => h("td", { class: c[2], "data-label": c[0] }, h("div", null, c[1](r))))))));
}

// ---- Dialogs ----

export function dialog(title, body, actions) {
  return new Promise(done => {
    const id = uid();
    const box = h("dialog", { "aria-labelledby": id, onclose: () => { box.remove(); done(box.returnValue); } },
      h("h2", { id }, title), body, h("div", { class: "row end" }, actions(v => box.close(v || ""))));
    document.body.append(box);
    box.showModal();
  });
}

export const ask = async (title, body, yes, kind) => await dialog(title, body, close => [
  button("Cancel", () => close()), button(yes, () => close("yes"), kind || "bad")]) === "yes";

// A form in a dialog. save() does the work and may throw an ApiError; then the dialog stays and shows it.
export function formDialog(title, fields, yes, save) {
  const top = h("div");
  let result;
  const form = h("form", { class: "form", novalidate: true }, top, fields);
  return dialog(title, form, close => {
    const ok = h("button", { class: "main", type: "submit" }, yes);
    form.id = uid();
    ok.setAttribute("form", form.id);
    form.addEventListener("submit", async e => {
      e.preventDefault();
      ok.disabled = true;
      try { result = await save(); close("saved"); } catch (x) { showErrors(form, top, x); } finally { ok.disabled = false; }
    });
    return [button("Cancel", () => close()), ok];
  }).then(v => v === "saved" ? result ?? true : null);
}

export function copyable(text, label) {
  const box = h("input", { class: "secret", readonly: true, value: text, "aria-label": label, onfocus: e => e.target.select() });
  const b = button("Copy", async () => {
    box.select();
    // The clipboard is there for secure pages only; the old way works on plain http too.
    try { await navigator.clipboard.writeText(text); } catch { document.execCommand("copy"); }
    b.textContent = "Copied";
    say("Copied");
    setTimeout(() => { b.textContent = "Copy"; }, 2000);
  });
  return h("div", { class: "copy" }, box, b);
}

export const showSecret = (title, token, label) => dialog(title, h("div", null,
  h("p", null, "This is the only time it is shown. weir keeps nothing but its hash."), copyable(token, label)),
  close => [button("Done", () => close(), "main")]);

// ---- Lists in an order ----

// Rows with a handle (drag it, or arrow keys on it) and two buttons. items is changed in place; change() is told after
// each step. name(item) is what screen readers hear.
export function sortable(items, row, name, change, what) {
  const list = h("ol", { class: "sort" });
  const move = (from, to, how) => {
    if (to < 0 || to >= items.length || from === to) return;
    const [it] = items.splice(from, 1);
    items.splice(to, 0, it);
    draw();
    const li = list.children[to];
    const on = li.querySelector(how);
    (on && !on.disabled ? on : li.querySelector(".grip")).focus();
    say(name(it) + " is now " + (to + 1) + " of " + items.length);
    change();
  };
  function grab(e, li) {
    if (e.button !== 0) return;
    e.preventDefault();
    const grip = e.currentTarget, start = [...list.children].indexOf(li), from = e.clientY;
    grip.setPointerCapture(e.pointerId);
    li.classList.add("held");
    const slots = [...list.children].map(x => x.getBoundingClientRect());
    let to = start;
    const drag = ev => {
      const dy = ev.clientY - from, middle = slots[start].top + slots[start].height / 2 + dy;
      to = slots.filter((s, i) => i !== start && s.top + s.height / 2 < middle).length;
      [...list.children].forEach((x, i) => {
        const gap = slots[start].height + 8;
        x.style.transform = i === start ? `translateY(${dy}px)`
          : i > start && i <= to ? `translateY(${-gap}px)` : i < start && i >= to ? `translateY(${gap}px)` : "";
      });
    };
    const drop = ev => {
      grip.removeEventListener("pointermove", drag);
      [...list.children].forEach(x => { x.style.transform = ""; });
      li.classList.remove("held");
      if (ev.type === "pointerup") move(start, to, ".grip");
    };
    grip.addEventListener("pointermove", drag);
    grip.addEventListener("pointerup", drop, { once: true });
    grip.addEventListener("pointercancel", drop, { once: true });
  }
  function draw() {
    fill(list, items.map((it, i) => {
      const n = name(it);
      const li = h("li", null,
        button("⠿", null, "grip", {
          "aria-label": `Move ${n}: ${what} ${i + 1} of ${items.length}. Arrow keys change its place.`,
          onkeydown: e => {
            const by = { ArrowUp: -1, ArrowDown: 1 }[e.key];
            if (by) { e.preventDefault(); move(i, i + by, ".grip"); }
          },
          onpointerdown: e => grab(e, li),
        }),
        h("div", { class: "grow" }, row(it, i)),
        h("div", { class: "row tight" },
          button("↑", () => move(i, i - 1, ".up"), "icon up", { "aria-label": "Move " + n + " up", disabled: i === 0 }),
          button("↓", () => move(i, i + 1, ".down"), "icon down", { "aria-label": "Move " + n + " down", disabled: i === items.length - 1 }),
          button("×", () => { items.splice(i, 1); draw(); change(); (list.querySelector(".grip") || list).focus?.(); },
            "icon", { "aria-label": "Remove " + n })));
      return li;
    }));
  }
  draw();
  list.redraw = draw;
  return list;
}

export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export { add };
