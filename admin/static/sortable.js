/* Put things in order: by dragging their grip, or with Alt and an arrow key on it. */

/**
 * Let the `items` of `container` be moved by their .au-grip. `moved(item)` is called when one found its place, `said(item, place,
 * number)` returns the sentence that tells of it; `tell` says it to screen readers.
 */
export function sortable(container, items, { moved, said, tell }) {
  const all = () => [...container.querySelectorAll(items)];
  const itemOf = (target) => target.closest?.(".au-grip")?.closest(items);

  function report(item) {
    const list = all();
    tell(said(item, list.indexOf(item) + 1, list.length));
    moved(item);
  }

  container.addEventListener("keydown", (event) => {
    const item = event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown") && itemOf(event.target);
    if (!item || !container.contains(item)) return;
    event.preventDefault();
    const list = all();
    const at = list.indexOf(item);
    const other = list[at + (event.key === "ArrowUp" ? -1 : 1)];
    if (!other) return;
    const grip = event.target.closest(".au-grip");
    if (event.key === "ArrowUp") other.before(item);
    else other.after(item);
    grip.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
    report(item);
  });

  /* Without scripts, a grip is a button that moves its row up. */
  container.addEventListener("click", (event) => {
    if (itemOf(event.target)) event.preventDefault();
  });

  container.addEventListener("pointerdown", (event) => {
    const item = event.button === 0 && itemOf(event.target);
    if (!item) return;
    const grip = event.target.closest(".au-grip");
    const before = all().indexOf(item);
    const next = item.nextElementSibling;
    event.preventDefault();
    grip.focus({ preventScroll: true });
    item.classList.add("is-dragged");

    /* A row that is moved in the page loses the pointer, so the page as a whole listens. */
    const drag = (move) => {
      const over = all().find((one) => {
        const box = one.getBoundingClientRect();
        return one !== item && move.clientY >= box.top && move.clientY < box.bottom;
      });
      if (!over) return;
      const box = over.getBoundingClientRect();
      const below = over.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_PRECEDING;
      /* The other must be passed by half, or two rows of different height would swap for ever. */
      if (below && move.clientY > box.top + box.height / 2) over.after(item);
      else if (!below && move.clientY < box.top + box.height / 2) over.before(item);
      item.scrollIntoView({ block: "nearest" });
    };
    const end = (done) => {
      document.removeEventListener("pointermove", drag);
      document.removeEventListener("pointerup", end);
      document.removeEventListener("pointercancel", end);
      document.removeEventListener("keydown", escape, true);
      item.classList.remove("is-dragged");
      if (done.type === "pointerup") {
        if (all().indexOf(item) !== before) report(item);
      } else if (all().indexOf(item) !== before) {
        item.parentElement.insertBefore(item, next);
      }
    };
    const escape = (pressed) => {
      if (pressed.key !== "Escape") return;
      pressed.preventDefault();
      pressed.stopPropagation();
      end(pressed);
    };
    document.addEventListener("pointermove", drag);
    document.addEventListener("pointerup", end);
    document.addEventListener("pointercancel", end);
    document.addEventListener("keydown", escape, true);
  });
}
