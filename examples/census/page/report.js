// Pointing at a name shows what it imports and who imports it.
for (const circle of document.querySelectorAll("svg.circle")) {
  const edges = [...circle.querySelectorAll(".edge")];
  const nodes = [...circle.querySelectorAll(".node")];
  const clear = () => {
    circle.classList.remove("picked");
    edges.forEach((edge) => edge.classList.remove("in", "out"));
    nodes.forEach((node) => node.classList.remove("near", "it"));
  };
  for (const node of nodes) {
    node.addEventListener("pointerenter", () => {
      const name = node.dataset.name;
      const near = new Set([name]);
      for (const edge of edges) {
        const { from, to } = edge.dataset;
        edge.classList.toggle("out", from === name);
        edge.classList.toggle("in", to === name);
        if (from === name) near.add(to);
        if (to === name) near.add(from);
      }
      nodes.forEach((other) => other.classList.toggle("near", near.has(other.dataset.name)));
      node.classList.add("it");
      circle.classList.add("picked");
    });
    node.addEventListener("pointerleave", clear);
  }
}
