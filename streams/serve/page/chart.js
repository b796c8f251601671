// Curves over time, by uPlot: with a legend that chooses, marks, and the same numbers as a table.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact.module.js";
import { useMedia } from "./hooks.js";
import * as f from "./format.js";

const HUES = 8;
const DASHES = [[], [8, 4], [2, 3]];
const DAY = 86400;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Which colour and dash a series has: by its place, so that it keeps them. */
export const look = (at, isQuiet = false) => ({
  color: isQuiet ? `--quiet-${(at % 3) + 1}` : `--series-${(at % HUES) + 1}`,
  dash: isQuiet ? [5, 4] : DASHES[Math.floor(at / HUES) % DASHES.length],
});

const swatch = (one) => html`<svg class="swatch" viewBox="0 0 22 8" width="22" height="8" aria-hidden="true">
  <line x1="1" y1="4" x2="21" y2="4" stroke=${`var(${one.color})`} stroke-width="3" stroke-dasharray=${one.dash.join(" ") || undefined} />
</svg>`;

/** Labels of the time axis, in UTC: the day where it changes, else the hour. */
function times(_, splits, __, ___, step) {
  let day = "";
  return splits.map((each) => {
    const text = new Date(1000 * each).toISOString();
    const own = `${Number(text.slice(8, 10))} ${["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][Number(text.slice(5, 7)) - 1]}`;
    const hour = step < 60 ? text.slice(11, 19) : text.slice(11, 16);
    if (step >= DAY) return own;
    const shown = own === day ? hour : `${hour}\n${own}`;
    day = own;
    return shown;
  });
}

/**
 * Curves.
 *
 * title: for assistive technology. times: in seconds. series: [{name, values, place, isQuiet, isStrong}].
 * show(value): as text. marks: [{time, kind, text}].
 */
export function Chart({ title, times: at, series, show = f.number, marks = [], height = 280, unit = "", zero = true }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [hidden, setHidden] = useState(() => new Set());
  const [cursor, setCursor] = useState(null);
  const isDark = useMedia("(prefers-color-scheme: dark)");
  const isNarrow = useMedia("(max-width: 600px)");
  const names = series.map((each) => each.name).join("\n");
  const looks = useMemo(() => {
    return series.map((each, at) => look(each.place ?? at, each.isQuiet));
  }, [names]);
  const data = useMemo(() => [at, ...series.map((each) => each.values)], [at, series]);
  const shownMarks = useRef(marks);
  shownMarks.current = marks;
  const shownHeight = isNarrow ? Math.min(height, 220) : height;

  useEffect(() => {
    const grid = { stroke: style("--line"), width: 1 };
    const axis = { stroke: style("--muted"), grid, ticks: { ...grid, size: 4 }, font: "12px system-ui, sans-serif" };
    const drawMarks = (u) => {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top - 12, bbox.width, bbox.height + 12);
      ctx.clip();
      for (const each of shownMarks.current) {
        const x = Math.round(u.valToPos(each.time, "x", true)) + 0.5;
        ctx.strokeStyle = ctx.fillStyle = style(`--mark-${each.kind}`) || style("--muted");
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash(each.kind === "champion" ? [] : [4, 4]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.beginPath();
        const s = 4 * devicePixelRatio;
        ctx.moveTo(x - s, bbox.top - s);
        ctx.lineTo(x + s, bbox.top - s);
        ctx.lineTo(x, bbox.top + s);
        ctx.fill();
      }
      ctx.restore();
    };
    const options = {
      width: box.current.clientWidth,
      height: shownHeight,
      padding: [14, 26, 0, 0],
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: true, y: false } },
      tzDate: (ts) => uPlot.tzDate(new Date(1000 * ts), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => (low == null ? [0, 1] : [zero ? Math.min(0, low) : low - (high - low || 1) * 0.1, high + (high - low || high || 1) * 0.06]) } },
      axes: [
        { ...axis, values: times, space: 64, size: 44 },
        { ...axis, values: (_, splits) => splits.map((each) => show(each)), size: 56 },
      ],
      series: [
        {},
        ...series.map((each, place) => ({
          label: each.name,
          stroke: style(looks[place].color),
          width: each.isStrong ? 2.5 : 1.5,
          dash: looks[place].dash,
          show: !hidden.has(each.name),
          spanGaps: true,
          points: { show: at.length < 3 },
        })),
      ],
      hooks: { draw: [drawMarks], setCursor: [(u) => setCursor(u.cursor.idx ?? null)] },
    };
    const made = (plot.current = new uPlot(options, data, box.current));
    const watch = new ResizeObserver(() => {
      const width = box.current?.clientWidth;
      if (width && width !== made.width) made.setSize({ width, height: shownHeight });
    });
    watch.observe(box.current);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [names, isDark, shownHeight]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);
  useEffect(() => {
    series.forEach((each, place) => {
      const is = !hidden.has(each.name);
      if (plot.current.series[place + 1].show !== is) plot.current.setSeries(place + 1, { show: is });
    });
  }, [hidden, names, isDark, shownHeight]);

  const toggle = (name) => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next);
  };
  const place = cursor ?? at.length - 1;
  const when = at.length ? `${f.time(1000 * at[Math.max(place, 0)], at[at.length - 1] - at[0] < DAY)} UTC` : "";
  const summary = series.map((each) => `${each.name} ${last(each.values, show)}`).join(", ");
  return html`<figure class="chart">
    <div class="plot" ref=${box} role="img" aria-label=${`${title}. At the end: ${summary}.`}></div>
    <figcaption>
      <span class="when">${cursor == null ? "Newest" : when}${unit && html`, ${unit}`}</span>
      <ul class="legend" aria-label="Curves">
        ${series.map((each, nth) => html`<li key=${each.name}>
          <button type="button" aria-pressed=${!hidden.has(each.name)} class=${each.isStrong ? "strong" : ""} onClick=${() => toggle(each.name)}>
            ${swatch(looks[nth])}<span class="long">${each.name}</span>
            <span class="num">${cursor == null ? last(each.values, show) : each.values[place] == null ? "–" : show(each.values[place])}</span>
          </button>
        </li>`)}
      </ul>
      <${Numbers} title=${title} at=${at} series=${series} show=${show} />
    </figcaption>
  </figure>`;
}

function last(values, show) {
  for (let at = values.length - 1; at >= 0; at--) if (values[at] != null) return show(values[at]);
  return "–";
}

/** The newest numbers of the curves, for who cannot see them. */
function Numbers({ title, at, series, show }) {
  const [isOpen, setOpen] = useState(false);
  const rows = at.map((time, place) => [time, place]).slice(-30).reverse();
  return html`<details class="numbers" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>The newest numbers as a table</summary>
    ${isOpen && html`<div class="scroll" tabindex="0" role="region" aria-label=${`${title}, as a table`}><table>
      <caption class="hidden">${title}</caption>
      <thead><tr><th scope="col">UTC</th>${series.map((each) => html`<th scope="col" class="right">${each.name}</th>`)}</tr></thead>
      <tbody>${rows.map(([time, place]) => html`<tr key=${time}><th scope="row">${f.time(1000 * time)}</th>
        ${series.map((each) => html`<td class="right">${each.values[place] == null ? "–" : show(each.values[place])}</td>`)}</tr>`)}</tbody>
    </table></div>`}
  </details>`;
}

/** A small curve without axes. */
export function Spark({ values, label, width = 120, height = 28 }) {
  const known = values.filter((each) => each != null);
  if (known.length < 2) return html`<span class="note">–</span>`;
  const most = Math.max(...known, 1e-9);
  const step = width / Math.max(values.length - 1, 1);
  const path = values
    .map((each, at) => (each == null ? null : `${(at * step).toFixed(1)},${(height - 2 - (each / most) * (height - 4)).toFixed(1)}`))
    .filter(Boolean);
  return html`<svg class="spark" viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${label} preserveAspectRatio="none">
    <polyline points=${path.join(" ")} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" />
  </svg>`;
}
