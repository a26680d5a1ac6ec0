function start() {
  for (const each of document.querySelectorAll(".needs-script")) each.hidden = false;
  for (const figure of document.querySelectorAll(".table")) {
    makeSortable(figure.querySelector("table"));
    makeFilterable(figure);
  }
  const shows = { truth: true, flagged: true };
  const viewer = new Viewer(document.querySelector(".viewer"), shows);
  const roots = [...document.querySelectorAll(".category")];
  const galleries = roots.map((root) => new Gallery(root, viewer, shows));
  followToggles(shows, galleries, viewer);
  chooseCategories(roots, galleries);
}

/** All boxes that show or hide the same thing move together. */
function followToggles(shows, galleries, viewer) {
  const boxes = [...document.querySelectorAll("[data-shows]")];
  for (const box of boxes) {
    box.addEventListener("change", () => {
      const what = box.dataset.shows;
      shows[what] = box.checked;
      for (const each of boxes) {
        if (each.dataset.shows === what) each.checked = box.checked;
      }
      for (const gallery of galleries) gallery.tiles?.redraw();
      viewer.drawLines();
    });
  }
}

/** One category at a time: a page of all would be too much for a phone. */
function chooseCategories(roots, galleries) {
  const chooser = document.querySelector(".chooser");
  const select = chooser.querySelector("select");
  const names = roots.map((root) => root.querySelector("h2").textContent);
  select.append(...names.map((name, index) => new Option(name, index)));
  chooser.hidden = roots.length < 2;
  const show = () => {
    roots.forEach((root, index) => (root.hidden = index !== select.selectedIndex));
    galleries[select.selectedIndex]?.open();
  };
  select.addEventListener("change", show);
  const asked = names.indexOf(decodeURIComponent(location.hash.slice(1)));
  select.selectedIndex = Math.max(asked, 0);
  show();
}

start();
