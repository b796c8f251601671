// What has changed, and since when: by source, and one by one.

import { html, useMemo, useState } from "../vendor/htm-preact.module.js";
import { useLoaded } from "../hooks.js";
import { Badge, Card, Empty, Loaded, Name, Table, When } from "../parts.js";
import * as f from "../format.js";

const TONES = { alert: "unsure", reset: "bad", replace: "bad", promote: "good", rollback: "bad", propose: "unsure" };
const DID = {
  alert: "nothing was done",
  reset: "the model was reset",
  replace: "a challenger was begun",
  promote: "it was promoted",
  rollback: "it was sent back",
  propose: "it was proposed",
};
const KINDS = {
  loss: (name) => `Losses of ${name}`,
  input: (name) => `Feature ${name}`,
  prediction: () => "Predictions",
  invalid: (name) => `Invalid predictions of ${name}`,
  promotion: (name) => `Promotion of ${name}`,
};
const SHOWN = 40;

export default function Alerts() {
  const alerts = useLoaded("/v1/alerts?limit=1000", { topics: ["alerts"] });
  return html`<${Loaded} from=${alerts} what="Loading alerts">
    ${({ records }) => records.length
      ? html`<${Changes} of=${records} /><${All} of=${records} />`
      : html`<${Empty} title="No alerts">Nothing has drifted, as far as the topic goes back. Inputs, predictions and the losses of candidates are watched.<//>`}
  <//>`;
}

function named(source) {
  const at = source.indexOf(":");
  const [kind, name] = at < 0 ? [source, ""] : [source.slice(0, at), source.slice(at + 1)];
  return (KINDS[kind] || (() => source))(name);
}

/** The newest alert of each source. */
function Changes({ of }) {
  const sources = useMemo(() => {
    const found = new Map();
    for (const each of of) {
      const known = found.get(each.source);
      if (known) known.count += 1;
      else found.set(each.source, { ...each, count: 1 });
    }
    return [...found.values()];
  }, [of]);
  return html`<${Card} title="What has changed" note="The newest of each source: means before and after, and the event since which it is so.">
    <ul class="plain lines">${sources.map((each) => html`<li key=${each.source} class=${`change ${TONES[each.action]}`}>
      <div class="change-head"><strong class="long">${named(each.source)}</strong> <${Badge} tone=${TONES[each.action]}>${each.action}<//></div>
      <div class="change-means">
        <span class="num">${f.loss(each.mean_before)}</span><span aria-label="to"> → </span><strong class="num">${f.loss(each.mean_after)}</strong>
        <span class="note">since <${When} ms=${each.event_time_ms}>${f.time(each.event_time_ms)} UTC<//>${each.event_id && html`, event <a class="long" href=${`#/predictions/${encodeURIComponent(each.event_id)}`}>${each.event_id}</a>`}</span>
      </div>
      <p class="note">${each.detector}: ${DID[each.action] || each.action}${each.model && `; ${each.model}`}${each.count > 1 ? `; ${f.count(each.count)} alerts of this source` : ""}. ${each.detail}</p>
    </li>`)}</ul>
  <//>`;
}

function All({ of }) {
  const [source, setSource] = useState("");
  const sources = [...new Set(of.map((each) => each.source))].sort();
  const rows = of.filter((each) => !source || each.source === source);
  const columns = [
    { title: "Event time, UTC", isHead: true, align: "time", cell: (each) => html`<${When} ms=${each.event_time_ms} />` },
    { title: "Source", cell: (each) => html`<span class="long">${each.source}</span>` },
    { title: "Detector", cell: (each) => each.detector },
    { title: "Before", align: "right", cell: (each) => f.loss(each.mean_before) },
    { title: "After", align: "right", cell: (each) => f.loss(each.mean_after) },
    { title: "Action", cell: (each) => html`<${Badge} tone=${TONES[each.action]}>${each.action}<//>` },
    { title: "Model", cell: (each) => html`<${Name} of=${each.model} /> <small>v${f.count(each.model_version)}</small>` },
  ];
  return html`<${Card} title="One by one">
    ${sources.length > 1 && html`<div class="filters"><label>Source <select value=${source} onChange=${(event) => setSource(event.target.value)}>
      <option value="">all</option>${sources.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label></div>`}
    <${Table} caption="Alerts" columns=${columns} rows=${rows} step=${SHOWN} rowKey=${(each) => `${each.source} ${each.position} ${each.event_time_ms}`} />
  <//>`;
}
