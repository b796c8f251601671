// Agents and topics as the graph that they are, with rates and lag now and over time.

import { html, useMemo } from "../vendor/htm-preact.module.js";
import { Chart, Spark } from "../chart.js";
import { useLoaded, useMedia } from "../hooks.js";
import { Badge, Card, Empty, Loaded, Table } from "../parts.js";
import { laidOut } from "../graph.js";
import * as f from "../format.js";

const BEHIND_SECONDS = 10;

export default function Flow() {
  const flow = useLoaded("/v1/flow", { seconds: 2 });
  return html`<${Loaded} from=${flow} what="Loading offsets">
    ${(of) => html`
      ${of.problem && html`<p class="trouble" role="alert">Offsets cannot be read: ${of.problem}</p>`}
      ${of.agents.length
        ? html`<${Card} title="The pipeline" note="Agents and the topics between them: records a second, and what waits. Alerts, audit and rejects come from any of them. Markers of transactions count, too, in what workers write."><${Graph} of=${of} /><//>`
        : html`<${Empty} title="No agents are known">No group has committed offsets yet: is a worker running?<//>`}
      <div class="halves">
        <${Card} title="Records a second"><${Rates} of=${of} /><//>
        <${Card} title="Records that wait" note="Known since this server started."><${Lags} of=${of} /><//>
      </div>
      <${Card} title="Agents"><${Agents} of=${of} /><//>
      <${Card} title="Topics"><${Topics} of=${of} /><//>`}
  <//>`;
}

/** What a topic is called: without the pipeline's name, where it is the pipeline's. */
const called = (name) => name.replace(/^@/, "");

const pen = document.createElement("canvas").getContext("2d");
const PADDING = 10;

/** A name, without its middle where it does not go into a node. */
function fitting({ label, kind, width }) {
  pen.font = `${kind === "agent" ? 650 : 400} 13px ${getComputedStyle(document.body).fontFamily}`;
  let shown = label;
  for (let kept = label.length - 2; kept > 2 && pen.measureText(shown).width > width - PADDING; kept--) {
    shown = `${label.slice(0, Math.ceil(kept / 2))}…${label.slice(-Math.floor(kept / 2))}`;
  }
  return shown;
}

const waits = (agent) =>
  agent.lag_records ? `${f.plural(agent.lag_records, "record")} wait, ${f.duration(agent.lag_seconds)}` : "nothing waits";

function Graph({ of }) {
  const isNarrow = useMedia("(max-width: 1000px)");
  const { nodes, edges, width, height } = useMemo(() => laidOut(of, isNarrow), [of, isNarrow]);
  const said = of.agents.map((each) => `${each.name} reads ${each.reads.map(called).join(", ")}, writes ${each.writes.join(", ")}; ${waits(each)}`);
  return html`<div class="graph">
    <svg viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${`The pipeline: ${said.join(". ")}.`}>
      ${edges.map((each) => html`<path key=${each.key} class=${`edge ${each.isQuiet ? "quiet" : ""}`} d=${each.path} />`)}
      ${nodes.map((each) => html`<g key=${each.key} class=${`${each.kind} ${each.kind === "agent" && each.of.lag_seconds > BEHIND_SECONDS ? "bad" : ""}`} transform=${`translate(${each.x} ${each.y})`}>
        <rect width=${each.width} height=${each.height} rx=${each.kind === "agent" ? 9 : 16} />
        <text class=${each.kind === "agent" ? "strong" : ""} x=${each.width / 2} y="19" text-anchor="middle">${fitting(each)}<title>${each.label}</title></text>
        <text class="sub" x=${each.width / 2} y="35" text-anchor="middle">${each.kind === "agent" ? waits(each.of) : `${f.rate(each.of.per_second)} /s`}</text>
      </g>`)}
    </svg>
  </div>`;
}

const MAIN = ["events", "labels", "predictions", "outcomes", "rejects"];

function Rates({ of }) {
  const at = useMemo(() => of.times_ms.map((each) => each / 1000), [of]);
  const series = useMemo(
    () => {
      const sources = of.topics.filter((each) => each.is_source).map((each) => each.name);
      const shown = [...sources, ...MAIN].filter((each) => of.per_second[each]);
      return shown.map((name) => ({ name: called(name), values: of.per_second[name], isStrong: name === "predictions" }));
    },
    [of],
  );
  if (at.length < 2) return html`<${Empty} title="Not enough samples yet">One comes every two seconds.<//>`;
  return html`<${Chart} title="Records a second of the topics" times=${at} series=${series} show=${f.rate} height=${240} />`;
}

function Lags({ of }) {
  const at = useMemo(() => of.times_ms.map((each) => each / 1000), [of]);
  const series = useMemo(() => Object.entries(of.lag_records).map(([name, values]) => ({ name, values })), [of]);
  if (!series.some((each) => each.values.some((it) => it != null))) return html`<${Empty} title="Not known yet">One sample comes every two seconds.<//>`;
  return html`<${Chart} title="Records that wait for each agent" times=${at} series=${series} show=${f.count} height=${240} />`;
}

function Agents({ of }) {
  const columns = [
    { title: "Agent", isHead: true, cell: (each) => html`<span class="long">${each.name}</span>` },
    { title: "Reads", cell: (each) => html`<span class="long">${each.reads.map(called).join(", ")}</span>` },
    { title: "Writes", cell: (each) => html`<span class="long">${each.writes.join(", ")}</span>` },
    { title: "Waits", align: "right", cell: (each) => f.count(each.lag_records) },
    { title: "Since", align: "right", cell: (each) => html`<${Badge} tone=${each.lag_seconds > BEHIND_SECONDS ? "bad" : "good"}>${each.lag_records ? f.duration(each.lag_seconds) : "up to date"}<//>` },
  ];
  return of.agents.length ? html`<${Table} caption="Agents" columns=${columns} rows=${of.agents} rowKey=${(each) => each.name} />` : html`<${Empty} title="None" />`;
}

function Topics({ of }) {
  const columns = [
    { title: "Topic", isHead: true, cell: (each) => html`<span class="long" title=${each.topic}>${called(each.name)}</span>` },
    { title: "Holds", isWide: true, cell: (each) => html`<span class="note">${each.holds}</span>` },
    { title: "For", isWide: true, cell: (each) => (each.is_source ? "others produce" : each.use) },
    { title: "Partitions", isWide: true, align: "right", cell: (each) => f.count(each.partitions) },
    { title: "End", align: "right", cell: (each) => f.count(each.end) },
    { title: "A second", align: "right", cell: (each) => f.rate(each.per_second) },
    { title: "Waits", align: "right", cell: (each) => waiting(of.agents, each.name) },
    { title: "Over time", cell: (each) => html`<${Spark} values=${of.per_second[each.name]} label=${`${called(each.name)}: records a second over time`} />` },
  ];
  return html`<${Table} caption="Topics" columns=${columns} rows=${of.topics} rowKey=${(each) => each.name} />`;
}

/** What the agent that is furthest behind has yet to read of a topic. */
function waiting(agents, name) {
  const lags = agents.map((each) => each.lag_by_topic[name]).filter(Boolean);
  const most = lags.sort((a, b) => b.records - a.records)[0];
  if (!most) return "–";
  return most.records ? html`${f.count(most.records)} <small>${f.duration(most.seconds)}</small>` : "0";
}
