"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const state = new URLSearchParams();
  const themes = ["auto", "light", "dark"];
  const filter = document.getElementById("filter");
  const theme = document.getElementById("theme");

  // A plain "#speed" is a place; everything else is "key=value&..." with the place as "at".
  const read = () => {
    const hash = location.hash.slice(1);
    const found = new URLSearchParams(hash.includes("=") ? hash : { at: hash });
    if (!hash.includes("=")) for (const [key, value] of state) if (key !== "at") found.set(key, value);
    [...state.keys()].forEach((key) => state.delete(key));
    for (const [key, value] of found) if (value) state.set(key, value);
  };
  const write = () => history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  const keep = (key, value) => {
    if (value) state.set(key, value);
    else state.delete(key);
    write();
    show();
  };

  const value = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
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
    const rows = all(".row");
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase() + " " + (row.closest(".dots")?.caption.textContent.toLowerCase() ?? "");
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    document.getElementById("count").textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  };
  const colour = () => {
    const chosen = themes.includes(state.get("theme")) ? state.get("theme") : "auto";
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    theme.textContent = `Theme: ${chosen}`;
  };
  const show = () => {
    colour();
    if (document.activeElement !== filter) filter.value = state.get("q") ?? "";
    narrow();
    tables.forEach(sort);
  };
  const go = () => {
    const place = document.getElementById(state.get("at") ?? "");
    for (let box = place; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    place?.scrollIntoView();
  };

  const unpack = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).blob();
  };
  const download = async (format) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await unpack(`raw-${format}`));
    link.download = `triptych.${format}`;
    link.click();
    URL.revokeObjectURL(link.href);
  };

  const tables = all("table.sortable");
  for (const table of tables) {
    table.rowsInOrder = [...table.tBodies[0].rows];
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => turn(table, column));
      head.append(button);
    });
  }
  for (const command of all(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    });
    command.after(button);
  }
  all("[data-download]").forEach((button) => button.addEventListener("click", () => download(button.dataset.download)));
  all(".tools").forEach((tools) => (tools.hidden = false));
  filter.addEventListener("input", () => keep("q", filter.value.trim()));
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(state.get("theme") ?? "auto") + 1) % themes.length];
    keep("theme", next === "auto" ? "" : next);
  });
  addEventListener("hashchange", () => {
    read();
    write();
    show();
    go();
  });
  read();
  show();
  if (state.size) {
    write();
    go();
  }
})();
