// What is laid out badly in what is shown, in words: text on text, text outside the window, its card or its picture.
((width) => {
  const root = document.querySelector(".open") || document.getElementById("page:overview") || document.documentElement;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const boxes = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || ["title", "desc", "style", "OPTION"].includes(element.tagName)) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const head = element.closest("thead");
    if (head && getComputedStyle(head).position === "absolute") continue; // for screen readers alone
    const drawn = element.closest("svg");
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of drawn ? [element.getBoundingClientRect()] : range.getClientRects()) {
      if (box.width > 0.5) boxes.push({ box, element, drawn, words: node.data.trim().slice(0, 40) });
    }
  }
  const found = [];
  boxes.sort((a, b) => a.box.top - b.box.top);
  for (let i = 0; i < boxes.length; i += 1) {
    const { box: one, element, drawn, words } = boxes[i];
    for (let j = i + 1; j < boxes.length && boxes[j].box.top < one.bottom; j += 1) {
      const other = boxes[j].box;
      if (element === boxes[j].element) continue;
      const x = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const y = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (x > 0.5 && y > 0.35 * Math.min(one.height, other.height)) found.push(`${words} | lies on | ${boxes[j].words}`);
    }
    if (!element.closest(".scroll") && (one.left < -0.5 || one.right > width + 0.5)) found.push(`${words} | out of the window`);
    const card = drawn && (element.closest(".plate, td, th") || drawn);
    if (card) {
      const edge = card.getBoundingClientRect();
      if (one.left < edge.left - 0.5 || one.right > edge.right + 0.5 || one.top < edge.top - 0.5 || one.bottom > edge.bottom + 0.5) {
        found.push(`${words} | out of its card`);
      }
    }
  }
  return { seen: boxes.length, found };
})
