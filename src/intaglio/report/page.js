// The page's own script. Names are untrusted: they enter the page as text only (textContent, or
// through plain() into plotly, which reads a small subset of markup in its labels).
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const INK = "#1c2330", SOFT = "#5b6675", LINE = "#dfe4ea";
  const KINDS = {
    weighted: { name: "with weights", color: "#1f5fa8", symbol: "circle" },
    weightless: { name: "without weights", color: "#7fa8d6", symbol: "circle" },
    float: { name: "kept in float", color: "#c2571a", symbol: "diamond" },
    exact: { name: "no noise at all", color: "#1b7a3d", symbol: "triangle-up" },
  };
  // the buttons are listed one by one: plotly's own choice has one that uploads the chart
  const config = {
    responsive: true,
    displaylogo: false,
    plotlyServerURL: "",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    displayModeBar: matchMedia("(max-width: 760px)").matches ? false : "hover",
  };
  const state = new URLSearchParams(location.hash.slice(1));

  function plain(text) {
    return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function remember(key, value) {
    state.set(key, value);
    history.replaceState(null, "", "#" + state.toString());
  }

  function layout(xTitle, yTitle) {
    const axis = { gridcolor: LINE, linecolor: LINE, zerolinecolor: "#aab4c0", automargin: true };
    return {
      margin: { l: 52, r: 12, t: 30, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 13, color: INK },
      xaxis: Object.assign({ title: { text: xTitle }, showgrid: false }, axis, { zeroline: false }),
      yaxis: Object.assign({ title: { text: yTitle } }, axis),
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: SOFT } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "#9aa5b2", activecolor: "#1f5fa8" },
      hoverlabel: { align: "left", namelength: -1 },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    };
  }

  function drawSqnr(place) {
    const measured = data.layers
      .map((layer, index) => Object.assign({ index: index }, layer))
      .filter((layer) => layer.kind !== "absent");
    const values = measured.filter((layer) => layer.sqnr !== null).map((layer) => layer.sqnr);
    const top = values.length ? values.reduce((a, b) => Math.max(a, b)) + 4 : 1;
    const height = (layer) => (layer.sqnr === null ? top : layer.sqnr);
    const traces = [{
      x: measured.map((layer) => layer.index),
      y: measured.map((layer) => layer.sqnr),
      mode: "lines", line: { color: "#c6d0db", width: 1.5 }, hoverinfo: "skip", showlegend: false,
    }];
    for (const [kind, look] of Object.entries(KINDS)) {
      const some = measured.filter((layer) => layer.kind === kind);
      if (!some.length) continue;
      traces.push({
        x: some.map((layer) => layer.index),
        y: some.map(height),
        customdata: some.map((layer) => layer.name),
        text: some.map((layer) =>
          "<b>" + plain(layer.title) + "</b> (" + plain(layer.op) + ")<br>"
          + (layer.sqnr === null ? "exact" : layer.sqnr.toFixed(1) + " dB")),
        hoverinfo: "text", mode: "markers", name: look.name,
        marker: { color: look.color, size: 8, symbol: look.symbol },
      });
    }
    const shown = layout("layer, in the network's order", "SQNR (dB)");
    Plotly.newPlot(place, traces, shown, config).then(function () {
      place.on("plotly_click", (event) => choose(event.points[0].customdata));
    });
  }

  // one colour a curve; the float network's line is dashed, and in the legend only the other one's
  function drawCurves(place) {
    const COLORS = ["#1c2330", "#1f5fa8", "#c2571a", "#1b7a3d", "#7b4fb3", "#8a5a00"];
    const traces = [];
    data.curves.forEach(function (curve, index) {
      for (const [name, dash] of [["float", "dot"], ["integer", "solid"]]) {
        traces.push({
          x: curve[name].map((_, at) => at),
          y: curve[name],
          text: curve[name].map((precision, at) =>
            "<b>" + plain(curve.name) + "</b>, " + name + "<br>recall " + at + " %, precision "
            + precision.toFixed(1) + " %"),
          hoverinfo: "text", mode: "lines", name: plain(curve.name), legendgroup: String(index),
          showlegend: name === "integer",
          line: { color: COLORS[index % COLORS.length], width: index ? 1.5 : 2.5, dash: dash, shape: "vh" },
        });
      }
    });
    const shown = layout("recall (%)", "precision (%)");
    Object.assign(shown.xaxis, { range: [0, 101] });
    Object.assign(shown.yaxis, { range: [0, 102] });
    Plotly.newPlot(place, traces, shown, config);
  }

  const select = document.getElementById("layer");
  const byRange = document.getElementById("by-range");

  function weightText(sizes) {
    const live = sizes.filter((size) => size > 0);
    const dead = sizes.length - live.length;
    const parts = [sizes.length.toLocaleString("en") + " channels"];
    if (live.length) {
      const widest = live.reduce((a, b) => Math.max(a, b));
      const narrowest = live.reduce((a, b) => Math.min(a, b));
      parts.push("largest |weight| " + widest.toPrecision(3) + " in the widest, "
        + narrowest.toPrecision(3) + " in the narrowest (ratio " + (widest / narrowest).toPrecision(3) + ")");
    }
    if (dead) parts.push(dead.toLocaleString("en") + " with only zeros");
    return parts.join("; ") + ".";
  }

  function drawWeights() {
    const place = document.getElementById("weight-plot");
    const [low, high] = data.weights[select.value];
    const sizes = low.map((value, channel) => Math.max(-value, high[channel]));
    const order = low.map((_, channel) => channel);
    if (byRange.checked) order.sort((a, b) => sizes[b] - sizes[a]);
    document.getElementById("weight-text").textContent = weightText(sizes);
    place.dataset.layer = select.value;
    const trace = {
      type: "bar",
      x: order.map((_, rank) => rank),
      base: order.map((channel) => low[channel]),
      y: order.map((channel) => high[channel] - low[channel]),
      text: order.map((channel) =>
        "channel " + channel + "<br>" + low[channel] + " to " + high[channel]),
      textposition: "none", hoverinfo: "text",
      marker: { color: "#1f5fa8", line: { width: 0 } },
    };
    const shown = layout(byRange.checked ? "channels, widest first" : "output channel", "weight");
    shown.bargap = low.length > 150 ? 0 : 0.2;
    Plotly.react(place, [trace], shown, config);
    for (const row of document.querySelectorAll("tr[data-name]")) {
      row.classList.toggle("chosen", row.dataset.name === select.value);
    }
  }

  function choose(name) {
    if (!select || !Object.hasOwn(data.weights, name)) return;
    select.value = name;
    remember("layer", name);
    drawWeights();
  }

  function compare(first, second, numeric) {
    if (!numeric) return first.localeCompare(second, "en", { numeric: true });
    return Number(first) - Number(second);
  }

  // a cell without a figure stays behind all others, whichever way the column is sorted
  function sortRows(table, key) {
    const descending = key.startsWith("-");
    const heads = [...table.querySelectorAll("thead th")];
    const head = heads.find((each) => each.dataset.key === key.replace(/^-/, ""));
    if (!head) return;
    const numeric = head.classList.contains("number");
    const value = (row) => row.children[head.cellIndex].dataset.value.replace(/^(-?)inf$/, "$1Infinity");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort(function (a, b) {
      const first = value(a), second = value(b);
      if (first === "" || second === "") return (first === "") - (second === "");
      if (first === second) return 0;
      return compare(first, second, numeric) * (descending ? -1 : 1);
    });
    body.append(...rows);
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  // every table has its own word in the address
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.querySelectorAll("thead th")) {
      head.querySelector("button").addEventListener("click", function () {
        const again = head.getAttribute("aria-sort") === "ascending";
        const key = (again ? "-" : "") + head.dataset.key;
        remember(table.dataset.word, key);
        sortRows(table, key);
      });
    }
    if (state.has(table.dataset.word)) sortRows(table, state.get(table.dataset.word));
  }
  for (const button of document.querySelectorAll("button.pick")) {
    button.addEventListener("click", function () {
      choose(button.dataset.layer);
      if (select) select.scrollIntoView({ behavior: "smooth", block: "center" });
    });
  }
  const sqnrPlot = document.getElementById("sqnr-plot");
  if (sqnrPlot) drawSqnr(sqnrPlot);
  const curvesPlot = document.getElementById("curves-plot");
  if (curvesPlot) drawCurves(curvesPlot);
  if (select) {
    select.addEventListener("change", () => choose(select.value));
    byRange.addEventListener("change", drawWeights);
    if (Object.hasOwn(data.weights, state.get("layer"))) select.value = state.get("layer");
    drawWeights();
  }
  window.addEventListener("hashchange", () => location.reload());
})();
