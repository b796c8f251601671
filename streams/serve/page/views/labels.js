// What becomes of labels, and of events without one: fates, delays, and how many wait.

import { html } from "../vendor/htm-preact.module.js";
import { useLoaded } from "../hooks.js";
import { Bar, Card, Empty, Facts, Loaded, When } from "../parts.js";
import * as f from "../format.js";

export default function Labels() {
  const fates = useLoaded("/v1/fates", { topics: ["outcomes", "predictions"] });
  return html`<${Loaded} from=${fates} what="Loading labels">
    ${(of) => html`
      <${Card} title="Awaited">
        <${Facts} of=${[
          ["Events that wait", html`<span class="value">${f.count(of.waiting.events)}</span>`, of.waiting.events >= of.waiting.most ? "or more: so many are known here" : ""],
          ["The oldest of them", html`<${When} ms=${of.waiting.oldest_ms}>${f.time(of.waiting.oldest_ms)}<//>`, of.waiting.oldest_ms != null ? "event time, UTC" : ""],
          ["Labels come from", Object.keys(of.sources).length ? Object.entries(of.sources).map(([name, n]) => html`<div key=${name}>${name} <small class="num">${f.count(n)}</small></div>`) : "nowhere yet"],
        ]} />
      <//>
      <div class="halves">
        <${Fates} of=${of.fates} />
        <${Delays} of=${of.delays} />
      </div>`}
  <//>`;
}

const GOOD = { joined: "good", early: "", corrected: "", expired: "unsure", evicted: "bad", orphan: "unsure", late: "unsure" };

function Fates({ of }) {
  const known = of.filter((each) => each.count).sort((a, b) => b.count - a.count);
  const none = of.filter((each) => !each.count);
  const total = known.reduce((sum, each) => sum + each.count, 0);
  return html`<${Card} title="Fates" note="Of the newest 100,000 outcomes of each partition when this server started, and of all since.">
    ${known.length
      ? html`<ul class="plain counts">${known.map((each) => html`<li key=${each.fate} class=${GOOD[each.fate] || ""}>
          <span><strong>${f.words(each.fate)}</strong> <small>${each.of}</small></span>
          <${Bar} share=${each.count / total} tone=${GOOD[each.fate]} label=${`${f.percent(each.count / total, 1)} of all`} />
          <span class="num">${f.count(each.count)}</span>
          <span class="means">${each.meaning}</span>
        </li>`)}</ul>`
      : html`<${Empty} title="No labels yet">Send one: <code>POST /v1/labels</code>, or produce it to the topic.<//>`}
    <details class="numbers"><summary>${f.plural(none.length, "other fate")}, of none so far</summary>
      <dl class="lines">${none.map((each) => html`<div key=${each.fate}><dt><strong>${f.words(each.fate)}</strong> <small>${each.of}</small></dt><dd class="note">${each.meaning}</dd></div>`)}</dl>
    </details>
  <//>`;
}

const NAMES = { 0.5: "Half within", 0.9: "Nine of ten within", 0.99: "99 of 100 within" };

function Delays({ of }) {
  const most = Math.max(...of.histogram.map((each) => each.labels), 1);
  const shown = trimmed(of.histogram);
  return html`<${Card} title="Delays" note="From an event's time to its label's: of the newest 10,000 labels that met their events, where the label has a time.">
    ${of.labels === 0
      ? html`<${Empty} title="No delays known">Labels that say when they became known (label_time_ms) have one.<//>`
      : html`
        <${Facts} of=${[
          ...Object.entries(of.quantiles).map(([q, ms]) => [NAMES[q] || q, f.duration(ms / 1000)]),
          ["At most", f.duration(of.largest_ms / 1000)],
        ]} />
        <h3 class="hidden">How many took how long</h3>
        <ul class="plain counts">${shown.map((each) => html`<li key=${each.up_to_ms}>
          <span>${each.up_to_ms == null ? "longer" : each.up_to_ms === 0 ? "at once" : `up to ${f.duration(each.up_to_ms / 1000)}`}</span>
          <${Bar} share=${each.labels / most} label=${f.percent(each.labels / of.labels, 1)} />
          <span class="num">${f.count(each.labels)}</span>
        </li>`)}</ul>`}
  <//>`;
}

/** The steps between the first and the last that have any. */
function trimmed(steps) {
  const has = steps.map((each) => each.labels > 0);
  return steps.slice(Math.max(has.indexOf(true) - 1, 0), has.lastIndexOf(true) + 2);
}
