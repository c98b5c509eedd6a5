"use strict";
// A value shows where it comes from when it is pointed at or has the focus. Without this script it is a link to the same
// words in the list below its story. Nothing here makes markup from text: what is shown is a copy of what stands there.
(() => {
  const pop = document.getElementById("pop");
  let shown = null, leaving = 0;
  const hide = () => {
    clearTimeout(leaving);
    if (!shown) return;
    shown.classList.remove("on");
    shown.removeAttribute("aria-describedby");
    shown = null;
    pop.hidden = true;
  };
  const later = () => { clearTimeout(leaving); leaving = setTimeout(hide, 180); };
  const show = (value) => {
    clearTimeout(leaving);
    if (value === shown) return;
    hide();
    const entry = document.getElementById(value.getAttribute("href").slice(1));
    if (!entry) return;
    pop.replaceChildren(...[...entry.childNodes].map((node) => node.cloneNode(true)));
    pop.hidden = false;
    pop.scrollTop = 0;
    shown = value;
    value.classList.add("on");
    value.setAttribute("aria-describedby", "pop");
    const lines = value.getClientRects(), line = lines[lines.length - 1], page = document.documentElement;
    const left = Math.min(Math.max(lines[0].left, 16), page.clientWidth - pop.offsetWidth - 16);
    const under = line.bottom + 8 + pop.offsetHeight <= page.clientHeight || lines[0].top < pop.offsetHeight + 8;
    pop.style.left = `${window.scrollX + Math.max(left, 16)}px`;
    pop.style.top = `${window.scrollY + (under ? line.bottom + 8 : lines[0].top - 8 - pop.offsetHeight)}px`;
  };
  const value = (event) => event.target.closest ? event.target.closest("a.v") : null;
  document.addEventListener("pointerover", (event) => {
    if (value(event)) show(value(event));
    else if (event.target.closest("#pop")) clearTimeout(leaving);
    else if (shown && shown !== document.activeElement) later();
  });
  document.addEventListener("focusin", (event) => { if (value(event)) show(value(event)); else if (!event.target.closest("#pop")) hide(); });
  document.addEventListener("click", (event) => {
    if (value(event)) { event.preventDefault(); show(value(event)); } else if (!event.target.closest("#pop")) hide();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  window.addEventListener("resize", hide);
})();
