// The verdict first; then the main curve, what needs attention, and the state.

import { html, useMemo } from "../vendor/htm-preact.module.js";
import { Chart } from "../chart.js";
import { useLoaded } from "../hooks.js";
import { lossText, lossTitle, places } from "../losses.js";
import { Badge, Card, Empty, Facts, Loaded, Long, Said, When } from "../parts.js";
import * as f from "../format.js";

export default function Overview() {
  const overview = useLoaded("/v1/overview", { topics: ["evaluations", "alerts", "audit", "rejects"], seconds: 2 });
  const curves = useLoaded("/v1/curves", { topics: ["evaluations", "alerts"], least: 5 });
  return html`<${Loaded} from=${overview} what="Loading the verdict">
    ${(of) => html`
      <section class=${`verdict ${of.verdict.tone}`} aria-label="Verdict">
        <p class="sentence">${of.verdict.sentence}</p>
        ${of.verdict.points && html`<p class="note">
          Over ${f.plural(of.labels, "label")} since <${When} ms=${of.since_ms}>${f.time(of.since_ms, false)} UTC<//>: between
          ${" "}${signed(of.verdict.points.lower)} and ${signed(of.verdict.points.upper)} points, at any time with 95 %.
        </p>`}
      </section>
      <div class="columns">
        <div>
          <${Card} title="How it does">
            <${Loaded} from=${curves}>${(data) => html`<${Main} data=${data} of=${of} />`}<//>
          <//>
          <${Card} title="Newest alerts" actions=${html`<a href="#/alerts">All</a>`}>
            ${of.alerts.length
              ? html`<ul class="plain lines">${of.alerts.map((each) => html`<li key=${each.source + each.position}>
                  <a class="pick" href="#/alerts">${each.source}</a> <span class="num">${f.loss(each.mean_before)} → ${f.loss(each.mean_after)}</span>
                  <small><${When} ms=${each.event_time_ms}>${f.time(each.event_time_ms, false)}<//>, ${each.action}</small>
                </li>`)}</ul>`
              : html`<${Empty} title="No alerts">Nothing has drifted so far.<//>`}
          <//>
        </div>
        <div>
          <${Attention} of=${of.attention} />
          <${Card} title="State">
            <${Facts} of=${[
              ["Serves", of.champion ? html`<${Long} text=${of.champion} />` : "nothing yet", of.is_on_probation ? "on probation" : ""],
              ["Learning", of.is_paused ? html`<${Badge} tone="unsure">paused<//>` : "on"],
              ["Promotion", { auto: "by itself", propose: "proposed", off: "by hand" }[of.policy]],
              ["Events", html`${f.rate(of.per_second.events)} /s`],
              ["Predictions", html`${f.rate(of.per_second.predictions)} /s`],
              ["Labels", html`${f.rate(of.per_second.labels)} /s`, html`<a href="#/labels">${f.count(of.waiting)} awaited</a>`],
              ["Lag", of.lag.seconds == null ? "not known" : f.duration(of.lag.seconds), of.lag.records ? f.plural(of.lag.records, "record") : ""],
              ["Definition", html`<a href="#/history" class="code" title=${of.definition}>${f.reference(of.definition)}</a>`, html`since ${f.time(of.in_force_since_ms, false)}`],
            ]} />
          <//>
        </div>
      </div>`}
  <//>`;
}

const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(1).replace("-", "−");

function Attention({ of }) {
  return html`<${Card} title="Needs attention">
    ${of.length
      ? html`<ul class="plain attention">${of.map((each) => html`<li key=${each.text} class=${each.tone}><a href=${`#/${each.view}`}><${Said} text=${each.text} /></a></li>`)}</ul>`
      : html`<${Empty} title="Nothing">All is as it should be.<//>`}
  <//>`;
}

/** The champion, who is ahead of the others, and the baseline of the verdict. */
function Main({ data, of }) {
  const series = useMemo(() => {
    const names = Object.keys(data.losses);
    const at = places(data);
    return [of.champion, of.rival, of.verdict.baseline]
      .filter((each) => names.includes(each))
      .map((name) => ({ name, place: at[name], values: data.losses[name], isQuiet: data.baselines.includes(name), isStrong: name === of.champion }));
  }, [data, of.champion, of.rival, of.verdict.baseline]);
  const at = useMemo(() => data.times_ms.map((each) => each / 1000), [data]);
  const marks = useMemo(() => data.marks.map((each) => ({ ...each, time: each.time_ms / 1000 })), [data]);
  if (!at.length) return html`<${Empty} title="No curve yet">It begins with the first block of a hundred events whose labels have come.<//>`;
  return html`<p class="note">${lossTitle(data)}. <a href="#/models">All models</a></p>
    <${Chart} title=${lossTitle(data)} times=${at} series=${series} marks=${marks} show=${lossText(data.metric)} height=${300} />`;
}
