// Plots over time by uPlot, which is loaded when the first one is drawn.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { figure, useUtc } from "./format.js";

const VENDOR = "/console/static/vendor/uplot-1.6.32.min";
const COLOURS = ["--accent", "--warn-fill", "--bad", "--good"];
let loading = null;

function load() {
  loading ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), {
      rel: "stylesheet",
      href: `${VENDOR}.css`,
    });
    const script = Object.assign(document.createElement("script"), { src: `${VENDOR}.js` });
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => {
      loading = null;
      reject(new Error("The plot could not be loaded."));
    };
    document.head.append(style, script);
  });
  return loading;
}

/**
 * Lines over time. `at` are seconds, each of `lines` is `{label, values}`, null is a gap.
 * `unit` stands behind the numbers of the axis.
 */
export function Plot({ at, lines, unit = "", label }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [isFailed, setFailed] = useState(false);
  const utc = useUtc();
  const theme = document.documentElement.dataset.theme ?? "auto";
  const shape = [...lines.map((each) => each.label), utc, theme].join();
  useEffect(() => {
    let isOver = false;
    load().then(
      (UPlot) => {
        if (isOver) return;
        const options = settings(UPlot, sizeOf(place.current), lines, unit, utc);
        plot.current = new UPlot(options, [at, ...lines.map((each) => each.values)], place.current);
      },
      () => setFailed(true),
    );
    const resize = new ResizeObserver(() =>
      plot.current?.setSize(sizeOf(place.current)),
    );
    resize.observe(place.current);
    return () => {
      isOver = true;
      resize.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData([at, ...lines.map((each) => each.values)]), [at, lines]);
  return html`<figure class="figure">
    <figcaption class="legend"><strong>${label}</strong>
      ${lines.map(
        (each, index) => html`<span><i class=${`c${index + 1}`}></i>${each.label}${latest(each, unit)}</span>`,
      )}
    </figcaption>
    <div class="plot" ref=${place} role="img" aria-label=${summary(label, lines, unit)}></div>
    ${isFailed && html`<p class="bad-text">The plot could not be loaded. Reload the page.</p>`}
  </figure>`;
}

const sizeOf = (place) => ({ width: place.clientWidth || 300, height: place.clientHeight });

const lastOf = (line) => line.values.findLast((each) => each !== null && each !== undefined);

function latest(line, unit) {
  const value = lastOf(line);
  return value === undefined ? " –" : ` ${figure(value)}${unit ? ` ${unit}` : ""}`;
}

function summary(label, lines, unit) {
  const parts = lines.map((each) => `${each.label}${latest(each, unit)}`);
  return `${label}, now: ${parts.join(", ")}`;
}

function settings(UPlot, size, lines, unit, utc) {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  const letter = parseFloat(token("--text-s"));
  const axis = {
    stroke: token("--ink-3"),
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
    font: `${token("--text-s")} system-ui, sans-serif`,
  };
  return {
    ...size,
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false } },
    tzDate: utc ? (ts) => UPlot.tzDate(new Date(ts * 1000), "Etc/UTC") : undefined,
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
    axes: [
      { ...axis, values: CLOCK, size: 4.2 * letter },
      {
        ...axis,
        size: 5.2 * letter,
        values: (_plot, ticks) => ticks.map((tick) => `${short(tick)}${unit ? ` ${unit}` : ""}`),
      },
    ],
    series: [
      {},
      ...lines.map((each, index) => ({
        label: each.label,
        stroke: token(COLOURS[index]),
        width: 1.5,
        points: { show: true, size: 4, filter: lonely },
      })),
    ],
  };
}

/** Values without a neighbour, which no line would show. */
function lonely(plot, index) {
  const values = plot.data[index];
  const isGap = (at) => values[at] === null || values[at] === undefined;
  return [...values.keys()].filter((at) => !isGap(at) && isGap(at - 1) && isGap(at + 1));
}

const short = (value) => (value >= 10000 ? `${Math.round(value / 100) / 10}k` : String(value));

// Day and clock as the rest of the page writes them, where uPlot would write 3:00pm.
const CLOCK = [
  [86400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
];
