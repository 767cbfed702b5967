// Changes one piece of a page into another in place, so that focus, scrolling, open menus and what
// somebody is typing stay as they are.

const KEPT = new Set(["open"]); // of details: whoever looks has opened it

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function attributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !KEPT.has(name) && !(name === "class" && from.classList.contains("changed"))) {
      from.removeAttribute(name);
    }
  }
  for (const { name, value } of to.attributes) {
    if (!KEPT.has(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

export function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  attributes(from, to);
  // Somebody is in it.
  if (from.matches("input, select, textarea, datalist")) return;
  let here = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    // One with an id may have moved, because others came or went before it.
    const kept = wanted.id && [...from.children].find((one) => one.id === wanted.id && same(one, wanted));
    if (kept && kept !== here) {
      from.insertBefore(kept, here);
      here = kept;
    }
    if (here && same(here, wanted)) {
      morph(here, wanted);
      here = here.nextSibling;
    } else {
      from.insertBefore(document.importNode(wanted, true), here);
    }
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}
