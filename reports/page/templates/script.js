"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const make = (tag, text = "", attributes = {}) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.textContent = text;
    return made;
  };

  // State: everything that a control sets is in the address. A plain "#speed" is a place, the rest is "key=value&...".
  const state = new URLSearchParams();
  const themes = ["auto", "light", "dark"];
  const [filter, theme, reference, layer] = ["filter", "theme", "reference", "layer"].map(one);
  const tables = all("table.sortable");
  const boxes = all("details");
  const shut = boxes.map((box) => !box.open);
  const names = []; // of boxes, for the address: what a section's summary says first, so that another box moves no link
  for (const box of boxes) {
    const words = (box.querySelector("summary h3") ?? box.querySelector("summary")).textContent.toLowerCase().match(/[a-z]\w*/g) ?? [];
    const name = [box.closest("section").id, ...words.slice(0, 3)].join("-");
    names.push(names.includes(name) ? `${name}-${names.length}` : name);
  }
  const read = () => {
    const hash = location.hash.slice(1);
    const found = new URLSearchParams(hash.includes("=") ? hash : { at: hash });
    if (!hash.includes("=")) for (const [key, value] of state) if (key !== "at") found.set(key, value);
    [...state.keys()].forEach((key) => state.delete(key));
    for (const [key, value] of found) if (value) state.set(key, value);
  };
  const write = () => history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  const put = (key, value) => {
    if (value) state.set(key, value);
    else state.delete(key);
    write();
  };
  const keep = (key, value) => {
    put(key, value);
    show();
  };

  // Sorting and filtering.
  const units = { ns: 1e-9, µs: 1e-6, ms: 1e-3, MB: 1e6, GB: 1e9 };
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? (cell.querySelector("b.check") ? "1" : cell.textContent.trim());
    const [, amount, unit] = text.match(/^(-?[\d.]+(?:e[+-]?\d+)?)(?: ?(ns|µs|ms|s|MB|GB|%|nats|×))?(?![\w.-])/) ?? [];
    return amount === undefined ? text : `${amount * (units[unit] ?? 1)}`;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // rows without a value go last
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en") : x - y;
  };
  const sort = (table) => {
    const [column, direction] = (state.get(table.id) ?? "").split(".");
    const heads = all("thead th", table);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    const rows = [...table.rowsInOrder];
    if (heads[column]) {
      heads[column].setAttribute("aria-sort", direction === "down" ? "descending" : "ascending");
      const sign = direction === "down" ? -1 : 1;
      rows.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        return x === "" || y === "" ? compare(x, y) : sign * compare(x, y);
      });
    }
    table.tBodies[0].append(...rows);
  };
  const turn = (table, column) => {
    const next = { [`${column}`]: `${column}.down`, [`${column}.down`]: "" };
    keep(table.id, next[state.get(table.id)] ?? `${column}`);
  };
  const narrow = () => {
    const words = (state.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const rows = all("main table:not(.ways) tbody tr, li.row");
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase() + " " + (row.closest(".dots")?.caption.textContent.toLowerCase() ?? "");
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    if (layer) {
      layer.value = state.get("layer") ?? "";
      for (const row of one("checklist").tBodies[0].rows) row.hidden ||= Boolean(layer.value) && row.cells[0].textContent !== layer.value;
    }
    for (const table of all("main table:not(.ways)")) {
      const frame = table.closest(".scroll, figure") ?? table; // one without a row is no answer
      const own = [...table.tBodies[0].rows];
      frame.hidden = words.length > 0 && own.length > 0 && own.every((row) => row.hidden);
    }
    one("count").textContent = words.length ? (shown ? `${shown} of ${rows.length} rows` : "nothing matches") : "";
  };
  const colour = () => {
    const chosen = themes.includes(state.get("theme")) ? state.get("theme") : "auto";
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    theme.textContent = `Theme: ${chosen}`;
  };

  // The data of the page, deflated, in base 85.
  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
  const bytes = (text) => {
    const padded = text + "~".repeat(4 - ((text.length + 4) % 5));
    const found = new DataView(new ArrayBuffer((padded.length / 5) * 4));
    for (let at = 0; at < padded.length; at += 5) {
      const word = [...padded.slice(at, at + 5)].reduce((sum, digit) => sum * 85 + DIGITS.indexOf(digit), 0);
      found.setUint32((at / 5) * 4, word);
    }
    return new Uint8Array(found.buffer, 0, Math.floor((text.length * 4) / 5));
  };
  const unpack = async (id) => {
    return new Response(new Blob([bytes(one(id).textContent)]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  };
  const once = (load) => {
    let found;
    return () => (found ??= load());
  };
  const columns = once(async () => JSON.parse(await unpack("pack-table")));
  const numeric = (column, cell) => {
    if (column === "rounds") {
      const [middle, ...off] = cell.split(" ").filter(Boolean).map(Number);
      return off.map((part) => Number((middle * (1 + part / 2e3)).toPrecision(5)));
    }
    return ["value", "low", "high"].includes(column) && cell && Number.isFinite(Number(cell)) ? Number(cell) : cell;
  };
  const results = once(async () => {
    const found = Object.entries(await columns());
    return found[0][1].map((_, at) => Object.fromEntries(found.map(([name, cells]) => [name, numeric(name, cells[at])])));
  });
  const table = async () => {
    const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
    const rows = (await results()).map((row) => Object.values(row).map((cell) => (cell.join ? cell.join(" ") : `${cell}`)));
    return [Object.keys(await columns()), ...rows].map((row) => row.map(quoted).join(",") + "\n").join("");
  };
  const facts = once(async () => JSON.parse(await unpack("pack-facts")));

  // Numbers as the page writes them, and ratios of rounds as reports/statistics/ratios.py computes them.
  const number = (value, digits = 3) => {
    if (!Number.isFinite(value) || !value) return Number.isNaN(value) ? "NaN" : value ? "∞" : "0";
    value = Number(value.toPrecision(digits));
    const places = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
    return value.toFixed(Math.max(0, places));
  };
  const factor = (value) => (value >= 0.5 && value < 2 ? value.toFixed(2) : number(value, 2));
  const median = (values) => {
    const [sorted, half] = [Float64Array.from(values).sort(), values.length >> 1];
    return values.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  const rank = (n, confidence) => {
    let [at, ways, tail] = [1, Math.log(n), 2 ** -n]; // ways: log of comb(n, at)
    for (; at < n / 2; at++) {
      const more = Math.exp(ways - n * Math.LN2);
      if (2 * (tail + more) > 1 - confidence) break;
      tail += more;
      ways += Math.log((n - at) / (at + 1));
    }
    return [at, 1 - 2 * tail]; // what the interval between the ranks attains
  };
  const correlation = (values) => {
    if (values.length < 10) return 0;
    const middle = median(values);
    const signs = values.map((value) => Math.sign(value - middle));
    const total = signs.reduce((sum, sign) => sum + sign * sign, 0);
    const products = signs.slice(1).reduce((sum, sign, at) => sum + sign * signs[at], 0);
    return total ? Math.min(0.9, Math.max(0, products / total)) : 0;
  };
  const paired = (times, base) => {
    const pairs = times.map((time, at) => [time, base[at]]).filter(([a, b]) => a > 0 && b > 0 && a < Infinity && b < Infinity);
    if (!pairs.length) return null;
    const logs = pairs.map(([a, b]) => Math.log(a / b));
    const [n, r, sorted] = [logs.length, correlation(logs), Float64Array.from(logs).sort()];
    const middle = (n + 1) / 2;
    const [inner, attained] = rank(n, Number(reference.dataset.confidence));
    const wide = Math.max(1, Math.floor(middle - (middle - inner) * Math.sqrt((1 + r) / (1 - r))));
    const quarter = n >> 2;
    const ends = [median(logs), sorted[wide - 1], sorted[n - wide], sorted[quarter], sorted[n - 1 - quarter]];
    return [...ends.map(Math.exp), attained];
  };

  // Choosing the reference: every ratio, interval and plot again, from the rounds.
  const arms = once(async () => {
    const rows = (await results()).filter((row) => row.quantity.endsWith(" rounds"));
    return rows.map((row) => ({
      way: `${row.implementation}/${row.backend}`,
      work: [row.quantity, row.detail, row.model, row.device, row.dtype, row.size].join(" "),
      times: row.rounds,
    }));
  });
  const ratios = async (way) => {
    const [timed, bases] = [await arms(), {}];
    for (const arm of timed) {
      const old = bases[arm.work];
      if (arm.way === way && (!old || median(arm.times) < median(old.times))) bases[arm.work] = arm;
    }
    return timed.map((arm) => {
      const base = bases[arm.work];
      return { own: base === arm, ratio: base ? paired(arm.times, base.times) : null };
    });
  };
  const styled = (place, style) => (style ? place.setAttribute("style", style) : place.removeAttribute("style"));
  const properties = (names, places) => [...names].map((name, at) => `--${name}:${Math.round(10 * places[at])}`).join(";");
  const printed = () => {
    const places = all(".reference, [data-t] .ticks, tr[data-t] > td").map((place) => [place, place.innerHTML]);
    const drawn = all("table[data-t], tr[data-t] > td:nth-child(2)").map((place) => [place, place.getAttribute("style")]);
    return () => {
      for (const [place, html] of places) place.innerHTML = html;
      for (const [place, style] of drawn) styled(place, style);
    };
  };
  const originals = once(printed);
  const fill = (row, { own, ratio }) => {
    const [, , cell, interval] = row.cells;
    cell.textContent = ratio ? `${factor(ratio[0])}×` : "no reference";
    interval.textContent = !ratio ? "" : own ? "reference" : `${factor(ratio[1])} to ${factor(ratio[2])}`;
    if (ratio && !own && ratio[5] < Number(reference.dataset.confidence))
      interval.append(" ", make("small", `(${Math.round(100 * ratio[5])} %)`));
  };
  const axis = (values) => {
    const [low, high] = [Math.min(1, ...values) / 1.05, Math.max(1, ...values) * 1.05];
    const tries = [[[1, 2, 5], 1], [[1, 3], 1], [[1], 1], [[1], 2], [[1], 4]].map(([leading, stride]) => {
      const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
      const marks = [];
      for (let power = first - (((first % stride) + stride) % stride) - stride; power < last + 2 * stride; power += stride)
        marks.push(...leading.map((digit) => Number(`${digit}e${power}`)));
      const [start, stop] = [Math.max(...marks.filter((mark) => mark <= low)), Math.min(...marks.filter((mark) => mark >= high))];
      return marks.filter((mark) => start <= mark && mark <= stop);
    });
    const marks = tries.find((found) => found.length <= 6) ?? tries[0];
    const [start, width] = [Math.log(marks[0]), Math.log(marks.at(-1) / marks[0])];
    return { marks, at: (value) => (100 * (Math.log(value) - start)) / width };
  };
  const draw = (table, found) => {
    const rows = table.rowsInOrder.map((row) => [row, found[row.dataset.t].ratio]);
    const seen = rows.flatMap(([, ratio]) => ratio?.slice(0, 5) ?? []);
    const { marks, at } = seen.length ? axis(seen) : { marks: [] };
    table.querySelector(".ticks").replaceChildren(...marks.map((mark) => make("span", `${mark}×`)));
    const grid = properties("abcdef".slice(0, marks.length), marks.map(at));
    styled(table, seen.length ? `${grid};--one:${Math.round(10 * at(1))}` : "");
    for (const [row, ratio] of rows) styled(row.cells[1], ratio && properties("mlhqr", ratio.slice(0, 5).map(at)));
  };
  let referred = reference?.dataset.default;
  const refer = async () => {
    const known = all("option", reference).some((option) => option.value === state.get("ref"));
    const chosen = known ? state.get("ref") : reference.dataset.default;
    reference.value = chosen;
    if (chosen === referred) return;
    referred = chosen;
    const back = originals();
    if (chosen === reference.dataset.default) return back();
    const found = await ratios(chosen);
    if (referred !== chosen) return; // another one was chosen meanwhile
    all(".reference").forEach((place) => (place.textContent = reference.selectedOptions[0].textContent));
    all("tr[data-t]").forEach((row) => fill(row, found[row.dataset.t]));
    all("table[data-t]").forEach((table) => draw(table, found));
  };

  // Which engine at my size: the laws of cost at the batch that the slider stands at, as reports/sections/crossover.py does it.
  const slider = one("size");
  const seconds = (value) => {
    const [unit, scale] = [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]].find(([, scale]) => value >= scale) ?? ["ns", 1e-9];
    return `${number(value / scale)} ${unit}`;
  };
  const fastest = (lines, batch) => {
    const inside = lines.filter((line) => line.first <= batch && batch <= line.last);
    const [best, ...rest] = inside.map((line) => ({ ...line, seconds: line.fixed + line.each * batch })).sort((a, b) => a.seconds - b.seconds);
    const next = rest.find((line) => line.engine !== best.engine);
    return best && { ...best, times: next && next.seconds / best.seconds };
  };
  const scale = () => {
    if (!slider) return;
    const largest = Number(slider.dataset.largest);
    const asked = Number(state.get("batch"));
    const batch = asked >= 1 && asked <= largest ? Math.round(asked) : Math.round(largest ** 0.5);
    slider.value = Math.round((100 * Math.log(batch)) / Math.log(largest));
    slider.setAttribute("aria-valuetext", batch);
    one("size-said").textContent = batch;
    for (const row of one("crossover").tBodies[0].rows) {
      const lines = row.dataset.laws.split("\n").map((text) => {
        const [name, engine, ...numbers] = text.split("|");
        const [fixed, each, first, last] = numbers.map(Number);
        return { name, engine, fixed, each, first, last };
      });
      const found = fastest(lines, batch);
      const place = [...row.cells].at(-1);
      const next = found?.times ? `; next engine ${factor(found.times)}×` : "";
      place.replaceChildren(...(found ? [`${found.name} `, make("small", seconds(found.seconds) + next)] : ["not swept"]));
    }
  };
  if (slider) for (const place of all("#crossover [hidden]")) place.hidden = false;
  slider?.addEventListener("input", () => keep("batch", String(Math.round(Number(slider.dataset.largest) ** (slider.value / 100)))));

  // Two runs next to each other, as reports/sections/two_runs.py does it.
  const [before, after] = ["before", "after"].map(one);
  const said = (verdict) => one(`say-${verdict.replaceAll(" ", "-")}`);
  const verdictOf = (kind, a, b) => {
    if (a === null || b === null) return "in one only";
    if (kind !== "speed") return a.split(",")[0] === b.split(",")[0] ? "" : "changed";
    const least = Number(before.dataset.shift);
    return b[1] > a[2] * least ? "slower" : b[2] * least < a[1] ? "faster" : "";
  };
  const cells = (verdict, [kind, name], a, b) => {
    const written = (fact) => (Array.isArray(fact) ? `${factor(fact[0])}×` : (fact ?? ""));
    const row = make("tr", "", { className: "row" });
    const change = a && b && Array.isArray(a) ? `${factor(b[0] / a[0])}×` : "";
    const parts = ["", kind, name, written(a), written(b), change].map((text, at) => make(at === 2 ? "th" : "td", text));
    parts[0].append(said(verdict).firstElementChild.cloneNode(true));
    parts[0].dataset.v = said(verdict).dataset.rank;
    parts[2].scope = "row";
    parts[5].className = "num";
    row.append(...parts);
    return row;
  };
  let compared = before && `${before.dataset.default} ${after.dataset.default}`;
  const contrast = async () => {
    const [a, b] = [before, after].map((box) => {
      const known = all("option", box).some((option) => option.value === state.get(box.id));
      return (box.value = known ? state.get(box.id) : box.dataset.default);
    });
    if (compared === `${a} ${b}`) return;
    compared = `${a} ${b}`;
    const { runs, names, values } = await facts();
    const [i, j] = [a, b].map((id) => runs.findIndex((run) => run.id === id));
    const [x, y] = [runs[i].setting, runs[j].setting];
    const parts = [...new Set([...Object.keys(x), ...Object.keys(y)])].filter((part) => x[part] !== y[part]);
    const reasons = parts.map((part) => `${part} ${x[part] ?? "none"} and ${y[part] ?? "none"}`);
    const [rows, unshown, least] = [[], [], Number(before.dataset.shift)];
    let same = 0;
    names.forEach(([kind, name], at) => {
      const [p, q] = [values[at][i], values[at][j]];
      if ((p === null && q === null) || (reasons.length && kind === "speed")) return;
      const verdict = verdictOf(kind, p, q);
      if (verdict) rows.push(cells(verdict, [kind, name], p, q));
      else same++;
      if (!verdict && kind === "speed") unshown.push([name, q[0] / p[0], ((p[2] / p[0]) * least * q[0]) / q[1]]);
    });
    unshown.sort((one, other) => Math.abs(Math.log(other[1])) - Math.abs(Math.log(one[1])));
    rows.sort((one, other) => other.cells[0].dataset.v - one.cells[0].dataset.v);
    let told = `: ${rows.length} result${rows.length === 1 ? "" : "s"} changed, ${same} are not shown to have changed.`;
    if (unshown.length) {
      const needed = unshown.map((item) => item[2]);
      const [half, most] = [median(needed), Math.max(...needed)].map((value) => number(value, 2));
      const moves = unshown.slice(0, before.dataset.moves).map(([name, change]) => `${name} ${factor(change)}×`);
      told += ` Of the ratios, half would have had to grow ${half}-fold to be shown, the least certain ${most}-fold.`;
      told += ` The largest moves that are not shown: ${moves.join("; ")}.`;
    }
    const why = reasons.length ? ` Times are not compared, for the runs differ in ${reasons.join("; ")}.` : "";
    one("said").replaceChildren("From ", make("code", a), " to ", make("code", b), told + why);
    const table = one("differences");
    table.rowsInOrder = rows;
    table.tBodies[0].replaceChildren(...rows);
    narrow();
    sort(table);
  };

  // Copying and downloading.
  const copied = async (button, text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = button.title), 2000);
  };
  const copier = (title, text) => {
    const button = make("button", title, { type: "button", title, className: "copy" });
    button.addEventListener("click", () => copied(button, text()));
    return button;
  };
  const plain = (cell) => {
    const copy = cell.cloneNode(true);
    all("button.copy, summary, .ticks", copy).forEach((part) => part.remove());
    return copy.textContent.replace(/\s+/g, " ").trim().replace(/[|\\`<]/g, "\\$&");
  };
  const markdown = (table) => {
    const lines = [...table.rows].filter((row) => !row.hidden).map((row) => `| ${[...row.cells].map(plain).join(" | ")} |`);
    lines.splice(1, 0, `|${" --- |".repeat(table.rows[0].cells.length)}`);
    return `${plain(table.caption)}\n\n${lines.join("\n")}\n`;
  };
  const download = async (format) => {
    const text = {
      csv: table,
      json: async () => JSON.stringify({ runs: document.body.dataset.runs.split(" "), results: await results() }, null, 1) + "\n",
      records: () => unpack("pack-records"),
    };
    const url = URL.createObjectURL(new Blob([await text[format]()]));
    make("a", "", { href: url, download: `triptych${format === "records" ? "-records.jsonl" : `.${format}`}` }).click();
    URL.revokeObjectURL(url);
  };

  // Putting it together.
  const unfold = () => {
    const turned = new Set((state.get("open") ?? "").split(".").filter(Boolean));
    boxes.forEach((box, at) => (box.open = shut[at] === turned.has(names[at])));
  };
  const show = () => {
    colour();
    if (document.activeElement !== filter) filter.value = state.get("q") ?? "";
    scale();
    narrow();
    tables.forEach(sort);
    if (reference) refer().then(() => tables.forEach(sort));
    if (before) contrast();
  };
  const go = () => {
    const place = one(state.get("at") ?? "");
    for (let box = place; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    place?.scrollIntoView();
  };
  const prepare = (table) => {
    table.rowsInOrder = [...table.tBodies[0].rows];
    table.dataset.t?.split(" ").forEach((at, row) => (table.rowsInOrder[row].dataset.t = at));
    all("thead th", table).forEach((head, column) => {
      if (head.querySelector(".ticks")) return;
      const button = make("button", "", { type: "button" });
      button.append(...head.childNodes);
      button.addEventListener("click", () => turn(table, column));
      head.append(button);
    });
  };
  const copyable = (table) => table.caption.append(" ", copier("Copy as Markdown", () => markdown(table)));
  tables.forEach(prepare);
  all("main table:not(.ways)").forEach(copyable);
  const options_of = JSON.parse(document.body.dataset.names);
  const command = (place) => {
    const [model, way] = place.parentElement.cells;
    const names = way.firstChild.textContent.trim().split(" on ").map((name) => options_of[name] ?? name);
    const usual = [model.textContent, ...names, ...way.lastChild.textContent.split(", ")];
    const options = place.textContent || usual.reduce((text, word) => text.replace("{}", () => word), document.body.dataset.usual);
    place.textContent = options;
    place.append(" ", copier("Copy", () => document.body.dataset.again + options));
  };
  all("td.command").forEach(command);
  for (const button of all("[data-download]")) button.addEventListener("click", () => download(button.dataset.download));
  for (const tools of all(".tools")) tools.hidden = false;
  for (const box of [before, after]) box?.addEventListener("change", () => keep(box.id, box.value));
  boxes.forEach((box) =>
    box.addEventListener("toggle", () => {
      put("open", boxes.flatMap((other, at) => (other.open === shut[at] ? [names[at]] : [])).join("."));
    }),
  );
  filter.addEventListener("input", () => keep("q", filter.value.trim()));
  layer?.addEventListener("change", () => keep("layer", layer.value));
  reference?.addEventListener("change", () => keep("ref", reference.value === reference.dataset.default ? "" : reference.value));
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(state.get("theme") ?? "auto") + 1) % themes.length];
    keep("theme", next === "auto" ? "" : next);
  });
  addEventListener("hashchange", () => {
    const place = !location.hash.includes("=");
    read();
    write();
    if (!place) unfold();
    show();
    go();
  });
  const listings = all(".packed");
  if (listings.length)
    unpack("pack-listings").then((text) => {
      JSON.parse(text).forEach((html, at) => (listings[at].innerHTML = html));
      const late = all(".packed table.sortable").filter((table) => !tables.includes(table));
      late.forEach(prepare);
      all(".packed table").forEach(copyable);
      all(".packed td.command").forEach(command);
      tables.push(...late);
      late.forEach(sort);
      narrow();
      if (state.has("at")) go();
    });
  read();
  unfold();
  show();
  if (state.size) {
    write();
    go();
  }
})();
