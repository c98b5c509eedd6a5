// Search: on every page a box that leads to the page of results; there, a list that is looked through as somebody types.
// Nothing here makes markup from text.
(() => {
  const root = document.body.dataset.root || "", find = document.getElementById("find");
  if (find) {
    find.hidden = false;
    find.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && find.value.trim()) location.href = `${root}search.html#${encodeURIComponent(find.value.trim())}`;
    });
  }
  const query = document.getElementById("query"), box = query || find;
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && box) { event.preventDefault(); box.focus(); }
  });
  // On a wide screen the pages of the guide stand beside the text, and stay open.
  const pages = document.querySelector(".pages"), wide = window.matchMedia("(min-width: 60rem)");
  if (pages) { pages.open = wide.matches; wide.addEventListener("change", () => { pages.open = wide.matches; }); }
  if (!query) return;
  const MOST = 60, found = document.getElementById("found"), results = document.getElementById("results"), hint = found.textContent;
  const entries = JSON.parse(document.getElementById("entries").textContent);
  const lower = entries.map(([kind, name, , words]) => [name.toLowerCase(), `${kind} ${name} ${words}`.toLowerCase()]);
  const score = (words, [name, all]) => {
    let sum = 0;
    for (const word of words) {
      if (!all.includes(word)) return 0;
      sum += name === word ? 8 : name.startsWith(word) ? 5 : name.includes(word) ? 3 : 1;
    }
    return sum;
  };
  const show = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { results.replaceChildren(); found.textContent = hint; return; }
    const hits = lower.map((item, place) => [score(words, item), place]).filter(([points]) => points);
    hits.sort((one, other) => other[0] - one[0] || one[1] - other[1]);
    found.textContent = hits.length ? `${hits.length} found${hits.length > MOST ? `, the best ${MOST} of them:` : ":"}` : "Nothing has all of these words.";
    results.replaceChildren(...hits.slice(0, MOST).map(([, place]) => {
      const [kind, name, href, text] = entries[place];
      const item = document.createElement("li"), link = document.createElement("a");
      const tag = document.createElement("span"), more = document.createElement("span");
      link.href = href; link.textContent = name; link.dir = "auto";
      tag.className = "kind"; tag.textContent = kind;
      more.className = "quiet"; more.textContent = text; more.dir = "auto";
      item.append(tag, link, more);
      return item;
    }));
  };
  const read = () => { try { query.value = decodeURIComponent(location.hash.slice(1)); } catch { query.value = ""; } show(); };
  query.addEventListener("input", show);
  window.addEventListener("hashchange", read);
  read();
  query.focus();
})();
