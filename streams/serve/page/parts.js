// The pieces that views are made of.

import { html, useState } from "./vendor/htm-preact.module.js";
import { useMedia } from "./hooks.js";
import * as f from "./format.js";

/** Text with `code` in it. */
export const Said = ({ text }) => text.split("`").map((part, at) => (at % 2 ? html`<code class="long">${part}</code>` : part));

/** A name that may break behind its underscores. */
export const Name = ({ of }) => html`<span class="long">${of.split(/(?<=_)/).map((part, at) => (at ? html`<wbr />${part}` : part))}</span>`;

/** A section with a heading. */
export function Card({ title, id, actions, note, children, tone = "" }) {
  const name = id || title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return html`<section class=${`card ${tone}`} aria-labelledby=${`h-${name}`}>
    <div class="card-head">
      <h2 id=${`h-${name}`}>${title}</h2>
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>
    ${note && html`<p class="note">${note}</p>`}
    ${children}
  </section>`;
}

export const Loading = ({ what = "Loading" }) =>
  html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${what} …</p>`;

export const Empty = ({ title, children }) =>
  html`<div class="empty"><strong>${title}</strong>${children && html`<p>${children}</p>`}</div>`;

/** What went wrong, and what to do. */
export function Trouble({ problem, reload }) {
  if (!problem) return null;
  const said = problem.message.replace(/\.$/, "");
  return html`<div class="trouble" role="alert">
    <div><strong>${problem.title}</strong>: ${said}. ${problem.fix}</div>
    ${reload && html`<button type="button" class="small" onClick=${reload}>Ask again</button>`}
  </div>`;
}

/** What was loaded; before that, that it is loading, or why it cannot be. */
export function Loaded({ from, what, children }) {
  const { data, problem, isLoading, reload } = from;
  if (isLoading) return html`<${Loading} what=${what} />`;
  return html`<${Trouble} problem=${problem} reload=${reload} />${data && children(data)}`;
}

/**
 * A table, of which each row becomes a block on a narrow screen: there, cells carry their headings.
 * Columns: {title, cell(row), align, isHead, isWide}; those that are wide are left out there. step:
 * how many rows are shown at a time, and a quarter of it there.
 */
export function Table({ caption, columns, rows: all, rowKey, rowClass = () => "", step = Infinity }) {
  const isNarrow = useMedia("(max-width: 700px)");
  const [steps, setSteps] = useState(1);
  const each = isNarrow ? Math.ceil(step / 4) : step;
  const most = step === Infinity ? all.length : each * steps;
  const rows = all.slice(0, most);
  const left = all.length - rows.length;
  const shown = columns.filter(Boolean);
  return html`<table role="table" class="table">
    <caption class="hidden">${caption}</caption>
    <thead role="rowgroup"><tr role="row">
      ${shown.map((each) => html`<th role="columnheader" scope="col" class=${each.align || ""}>${each.title}</th>`)}
    </tr></thead>
    <tbody role="rowgroup">
      ${rows.map(
        (row, at) => html`<tr role="row" key=${rowKey ? rowKey(row) : at} class=${rowClass(row)}>
          ${shown.map((each) => {
            const kind = `${each.align || ""} ${each.isWide ? "wide-only" : ""}`.trim();
            const inside = html`<span class="cell">${each.cell(row)}</span>`;
            return each.isHead
              ? html`<th role="rowheader" scope="row" class=${kind}>${inside}</th>`
              : html`<td role="cell" data-label=${each.title} class=${kind}>${inside}</td>`;
          })}
        </tr>`,
      )}
    </tbody>
  </table>
  ${left > 0 && html`<button type="button" class="small more" onClick=${() => setSteps(steps + 1)}>Show ${f.count(Math.min(each, left))} more of ${f.count(all.length)}</button>`}`;
}

/** Names and what they are. */
export const Facts = ({ of }) => html`<dl class="facts">
  ${of
    .filter(Boolean)
    .map(([name, it, note]) => html`<div><dt>${name}</dt><dd>${it}${note && html`<small>${note}</small>`}</dd></div>`)}
</dl>`;

/** A bar of how much of a whole. */
export const Bar = ({ share, tone = "", label }) => html`<span class=${`bar ${tone}`} role="img" aria-label=${label}>
  <span style=${{ width: `${Math.min(Math.max(share, 0), 1) * 100}%` }}></span>
</span>`;

export const Badge = ({ tone = "", children }) => html`<span class=${`badge ${tone}`}>${children}</span>`;

/** A time, with all of it in the title. */
export const When = ({ ms, children }) =>
  html`<time datetime=${ms == null ? "" : new Date(ms).toISOString()} title=${`${f.time(ms)} UTC`}>${children || f.time(ms)}</time>`;

/** Text of any length that does not break the layout. */
export const Long = ({ text, code = true }) =>
  html`<span class=${`long ${code ? "code" : ""}`} title=${text}>${text}</span>`;

export function Copy({ text, label = "Copy" }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Select it by hand");
    }
    setTimeout(() => setSaid(""), 2000);
  };
  return html`<button type="button" class="small" onClick=${copy}>${said || label}</button>
    <span class="hidden" role="status">${said}</span>`;
}

/** A button that a role may lack the right for: then it is disabled, and says why. */
export function Guarded({ me, right, needs, onClick, children, kind = "" }) {
  const may = me.may.includes(right);
  const why = may ? "" : `Needs the role ${needs}; you are ${me.role}.`;
  return html`<button
    type="button"
    class=${`small ${kind}`}
    aria-disabled=${may ? undefined : "true"}
    title=${why || undefined}
    onClick=${() => may && onClick()}
  >${children}${!may && html`<span class="hidden"> (${why})</span>`}</button>`;
}
