// Every candidate and baseline: how it does over time, what the evidence says, and what may be done.

import { html, useMemo, useState } from "../vendor/htm-preact.module.js";
import { Chart } from "../chart.js";
import { CommandDialog } from "../command.js";
import { useLoaded, useMe } from "../hooks.js";
import { lossText, lossTitle, places } from "../losses.js";
import { Badge, Card, Empty, Facts, Guarded, Loaded, Name, Said, Table, When } from "../parts.js";
import * as f from "../format.js";

const TOPICS = ["evaluations", "alerts", "audit"];
const ROLES = { champion: "good", challenger: "unsure", candidate: "", baseline: "" };
const SETTINGS = ["drift.policy", "drift.cooldown", "drift.replacement_after", "drift.loss", "drift.predictions", "drift.inputs"];

export default function Models() {
  const comparison = useLoaded("/v1/comparison", { topics: TOPICS });
  const overview = useLoaded("/v1/overview", { topics: ["audit"], seconds: 10 });
  const curves = useLoaded("/v1/curves", { topics: TOPICS, least: 5 });
  const [command, setCommand] = useState(null);
  return html`
    <${Loaded} from=${comparison} what="Loading the models">
      ${(of) => html`
        <p class="note">${of.verdict.sentence.replace(/\.$/, "")}.</p>
        <${Card} title="Over time">
          <${Loaded} from=${curves}>${(data) => html`<${Curves} data=${data} of=${of} />`}<//>
        <//>
        <${Card} title="Candidates and baselines"
          note=${of.candidates.length > 0 && `Compared by the same events, in their order, since ${of.champion} serves${of.since_ms ? `: ${f.time(of.since_ms, false)} UTC` : ""}. A full side of the evidence is a proof; the intervals hold at any time, with 95 %.`}
          actions=${html`<${All} of=${of} isPaused=${overview.data?.is_paused} give=${setCommand} />`}>
          ${of.candidates.length
            ? html`<${Standings} of=${of} give=${setCommand} />`
            : html`<${Empty} title="No comparison yet">${of.verdict.sentence}<//>`}
          ${of.notes.map((each) => html`<p class="note" key=${each}>${each}</p>`)}
        <//>
        ${of.coverage && html`<${Coverage} of=${of.coverage} />`}
        ${of.candidates.length > 0 && html`<${Metrics} of=${of} />`}`}
    <//>
    ${command && html`<${CommandDialog} command=${command} close=${() => {
      setCommand(null);
      comparison.reload();
      overview.reload();
    }} />`}`;
}

/** Those that are there now: a pipeline may have had many challengers. */
function Curves({ data, of }) {
  const there = of.candidates.map((each) => each.name).sort().join("\n");
  const at = useMemo(() => data.times_ms.map((each) => each / 1000), [data]);
  const series = useMemo(() => {
    const now = there.split("\n");
    const names = Object.keys(data.losses).filter((each) => now.includes(each));
    const at = places(data);
    return names.sort((a, b) => at[a] - at[b]).map((name) => ({
      name,
      place: at[name],
      values: data.losses[name],
      isQuiet: data.baselines.includes(name),
      isStrong: name === of.champion,
    }));
  }, [data, there, of.champion]);
  const marks = useMemo(() => data.marks.map((each) => ({ ...each, time: each.time_ms / 1000 })), [data]);
  if (!at.length) return html`<${Empty} title="No curve yet">It begins with the first block of a hundred events whose labels have come.<//>`;
  return html`<p class="note">${lossTitle(data)}.</p>
    <${Chart} title=${lossTitle(data)} times=${at} series=${series} marks=${marks} show=${lossText(data.metric)} height=${340} />
    ${marks.length > 0 && html`<details class="numbers"><summary>${f.plural(marks.length, "mark")}: drift, other champions, definitions</summary>
      <ul class="plain lines">${marks.slice().reverse().map((each) => html`<li key=${each.kind + each.time + each.text}>
        <${Badge} tone=${{ drift: "bad", alert: "unsure", champion: "good" }[each.kind] || ""}>${each.kind}<//> <span class="long">${each.text}</span>
        <small><${When} ms=${each.time_ms} /> UTC</small></li>`)}</ul></details>`}`;
}

function Standings({ of, give }) {
  const me = useMe();
  const columns = [
    { title: "Model", isHead: true, cell: (each) => html`<${Name} of=${each.name} /> ${each.role !== "candidate" && html`<${Badge} tone=${ROLES[each.role]}>${each.role}<//>`}` },
    { title: "Labels", align: "right", cell: (each) => html`${f.count(each.labels)}${each.missing > 0 && html`<small title="events for which it made no prediction"> −${f.count(each.missing)}</small>`}` },
    { title: "Mean loss", align: "right", cell: (each) => f.loss(each.mean_loss) },
    { title: "Better by, in points", align: "right", cell: (each) => each.role === "champion" ? "–" : html`<strong>${f.points(each.difference)}</strong><br /><small>${f.interval(each.interval)}</small>` },
    { title: "Worse │ better", cell: (each) => each.is_judged ? html`<${Evidence} of=${each} />` : each.role === "champion" ? "" : html`<small>not judged</small>` },
    { title: "What it means", align: "wordy", cell: (each) => html`<span class="note"><${Said} text=${meaning(each)} /></span>` },
    { title: "Actions", align: "tight", cell: (each) => each.role === "baseline" ? "" : html`<span class="actions">
        ${each.role !== "champion" && html`<${Guarded} me=${me} right="command" needs="operator" onClick=${() => give(promote(each, of))}>Promote<span class="hidden"> ${each.name}</span><//>`}
        <${Guarded} me=${me} right="command" needs="operator" onClick=${() => give(reset(each))}>Reset<span class="hidden"> ${each.name}</span><//>
      </span>` },
  ];
  return html`<${Table} caption="Candidates and baselines" columns=${columns} rows=${of.candidates} rowKey=${(each) => each.name} rowClass=${(each) => (each.role === "champion" ? "strong" : "")} />`;
}

function meaning(each) {
  if (each.role === "champion") return "Serves.";
  if (each.role === "baseline") return "A baseline: it cannot serve.";
  return `${f.sentence(each.meaning)}`;
}

function Evidence({ of }) {
  const share = (it) => Math.min(Math.max(it, 0), 1);
  const worse = share(of.counter_proof), better = share(of.proof);
  const label = `${f.percent(worse)} of a proof that it is worse, ${f.percent(better)} of a proof that it is better by more than the margin`;
  const needed = of.has_won ? "shown" : of.labels_needed == null ? "" : `≈ ${f.count(of.labels_needed)} labels more`;
  return html`<span class="evidence" role="img" aria-label=${label} title=${label}>
      <span class="worse"><span style=${{ width: `${100 * worse}%` }}></span></span>
      <span class="better"><span style=${{ width: `${100 * better}%` }}></span></span>
    </span>${needed && html`<small class="num">${needed}</small>`}`;
}

const promote = (each, of) => ({
  name: "promote",
  title: `Promote ${each.name}`,
  does: `${each.name} serves from then on, in place of ${of.champion}. If another one serves by then, it is refused.`,
  fixed: { model: each.name, champion: of.champion },
  verb: "Promote",
});
const reset = (each) => ({
  name: "reset",
  title: `Reset ${each.name}`,
  does: "It begins untrained. What it has learned is lost.",
  fixed: { model: each.name },
  verb: "Reset",
});

/** What may be done to all of it. */
function All({ of, isPaused, give }) {
  const me = useMe();
  const button = (label, command) =>
    html`<${Guarded} me=${me} right="command" needs="operator" onClick=${() => give(command)}>${label}<//>`;
  const does = (name) => me.commands[name].does;
  return html`
    ${button("Roll back", { name: "rollback", title: "Roll back", does: does("rollback"), fixed: of.champion ? { champion: of.champion } : {}, verb: "Roll back" })}
    ${isPaused
      ? button("Resume", { name: "resume", title: "Resume learning", does: does("resume"), verb: "Resume" })
      : button("Pause", { name: "pause", title: "Pause learning", does: does("pause"), verb: "Pause" })}
    ${button("Snapshot", { name: "snapshot", title: "Keep a snapshot", does: does("snapshot"), verb: "Keep it" })}
    ${button("Set", { name: "set", title: "Change a setting", does: does("set"), ask: [{ name: "name", label: "Setting", options: SETTINGS }, { name: "value", label: "Value" }], verb: "Set" })}`;
}

/** How often labels were inside the intervals, or sets, of what was served; other candidates have none. */
function Coverage({ of }) {
  const isKnown = of.newest_labels >= 1000;
  const newest = isKnown ? "Newest 1,000 labels" : `Newest ${f.plural(of.newest_labels, "label")}`;
  const mark = of.is_low
    ? html`<${Badge} tone="bad">too low<//>`
    : isKnown ? html`<${Badge} tone="good">as wanted<//>` : "";
  return html`<${Card} title="Coverage" note="How often labels were inside the interval, or set of classes, that was served with their prediction, whoever served.">
    <${Facts} of=${[
      ["Wanted", f.percent(of.wanted, 1)],
      ["All labels", f.percent(of.share, 1), `of ${f.count(of.labels)}`],
      [newest, html`${f.percent(of.newest_share, 1)} ${mark}`, isKnown ? (of.is_low ? "clearly less than wanted" : "") : "it is judged by 1,000"],
      ["Mean size", f.loss(of.newest_mean_size), "of the newest: width, or number of classes"],
    ]} />
  <//>`;
}

function Metrics({ of }) {
  const newest = of.metrics.slice().sort((a, b) => b.last_time_ms - a.last_time_ms)[0];
  if (!newest) {
    return html`<${Card} title="Metrics"><${Empty} title="No metrics yet">Each tenth block of a hundred events has them.<//><//>`;
  }
  const names = [...new Set(Object.values(newest.metrics).flatMap((each) => Object.keys(each)))];
  const rows = Object.entries(newest.metrics).map(([name, values]) => ({ name, values }));
  const columns = [
    { title: "Model", isHead: true, cell: (each) => each.name },
    ...names.map((name) => ({
      title: name,
      align: "right",
      cell: ({ values }) => {
        const it = values[name];
        if (!it) return "–";
        return html`${f.loss(it.cumulative)}${it.rolling != null && html` <small>(${f.loss(it.rolling)})</small>`}`;
      },
    })),
  ];
  const where = of.metrics.length > 1 ? ` of partition ${newest.partition}` : "";
  return html`<${Card} title="Metrics" note=${`Of all labels${where}, in parentheses of the newest; ${f.time(newest.last_time_ms, false)} UTC.`}>
    <${Table} caption="Metrics" columns=${columns} rows=${rows} rowKey=${(each) => each.name} rowClass=${(each) => (each.name === of.champion ? "strong" : "")} />
  <//>`;
}
