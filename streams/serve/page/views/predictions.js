// Predictions as they come, with pause and filter; and one of them in full.

import { html, useEffect, useState } from "../vendor/htm-preact.module.js";
import { live } from "../api.js";
import { useLoaded, useMedia } from "../hooks.js";
import { Badge, Bar, Card, Copy, Empty, Facts, Loaded, Long, Name, Table, When } from "../parts.js";
import * as f from "../format.js";

const MOST = 200;
const SHOWN = 50;

export default function Predictions({ rest }) {
  return html`<div class=${`split ${rest ? "open" : "alone"}`}>
    <div class="list"><${Newest} chosen=${rest} /></div>
    ${rest && html`<div class="detail"><${One} id=${rest} key=${rest} /></div>`}
  </div>`;
}

function Newest({ chosen }) {
  const [records, setRecords] = useState([]);
  const [frozen, setFrozen] = useState(null);
  const [held, setHeld] = useState(null);
  const [since, setSince] = useState(0);
  const [rate, setRate] = useState(null);
  const [text, setText] = useState("");
  const [fate, setFate] = useState("");
  const [id, setId] = useState("");
  const isNarrow = useMedia("(max-width: 700px)");
  const shown = isNarrow ? 15 : SHOWN;
  const wanted = useLater(text.trim());
  const isFiltered = Boolean(fate || wanted);
  const first = useLoaded(`/v1/predictions?limit=${SHOWN}`, { topics: frozen || isFiltered ? [] : ["outcomes"] });
  const query = new URLSearchParams({ limit: SHOWN, ...(fate && { fate }), ...(wanted && { contains: wanted }) });
  const fitting = useLoaded(isFiltered ? `/v1/predictions?${query}` : null, { topics: ["predictions", "outcomes"] });
  useEffect(() => {
    if (first.data) setRecords((known) => merged(first.data.records, known));
  }, [first.data]);
  useEffect(
    () =>
      live.take((said) => {
        setRecords((known) => merged(said.records, known));
        setSince((n) => n + said.new);
        setRate((known) => newer(known, said));
      }),
    [],
  );
  useEffect(() => {
    const timer = setTimeout(() => setRate(null), RATE_MS);
    return () => clearTimeout(timer);
  }, [rate]);
  const now = isFiltered ? fitting.data?.records : records;
  const rows = (frozen || held || now || []).slice(0, shown);
  // What somebody points at, or has tabbed to, stays where it is.
  const hold = () => setHeld((known) => known || now || []);
  const release = (event) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setHeld(null);
  };
  const pause = () => {
    setFrozen(frozen ? null : now || []);
    setSince(0);
  };
  const filter = (change) => (event) => {
    change(event.target.value);
    setFrozen(null);
    setHeld(null);
  };
  const columns = [
    { title: "Event", isHead: true, cell: (each) => html`<a class="pick" href=${`#/predictions/${encodeURIComponent(each.event_id)}`} aria-current=${each.event_id === chosen ? "true" : undefined}>${each.event_id}</a>` },
    { title: "Predicted", cell: (each) => html`<strong class="long">${f.value(each.value)}</strong> ${certain(each)}` },
    rows.some((each) => each.certainty) && { title: "Interval or set", cell: (each) => html`<${Region} of=${each.certainty} />` },
    !chosen && { title: "Model", cell: (each) => html`<${Name} of=${each.model} /> <small>v${f.count(each.model_version)}</small>` },
    { title: "Label", cell: (each) => html`<${Fate} of=${each} />` },
    { title: "Made, UTC", align: "right", cell: (each) => html`<${When} ms=${each.prediction_time_ms}>${f.clock(each.prediction_time_ms)}<//>` },
  ];
  return html`<${Card} title="Newest" id="newest" actions=${html`
      ${!frozen && !isFiltered && rate?.isPart && html`<span class="note">Showing about ${f.count(rate.shown)} of ${f.count(rate.all)} a second</span>`}
      <span class="note" role="status">${frozen ? `Paused; ${f.plural(since, "prediction")} since` : ""}</span>
      <button type="button" class="small toggle" aria-pressed=${Boolean(frozen)} onClick=${pause}>${frozen ? "Go on" : "Pause"}</button>`}>
    <div class="filters">
      <label>Filter <input type="search" placeholder="id, key, value, model, feature=1" value=${text} onInput=${filter(setText)} /></label>
      <label>Label <select value=${fate} onChange=${filter(setFate)}>
        <option value="">all</option><option value="waiting">awaited</option><option value="joined">joined</option>
        <option value="expired">expired</option><option value="evicted">evicted</option><option value="removed">removed</option>
      </select></label>
      <label>Open an id <input type="text" value=${id} onInput=${(event) => setId(event.target.value)}
        onKeyDown=${(event) => event.key === "Enter" && id && (location.hash = `#/predictions/${encodeURIComponent(id)}`)} placeholder="id, then Enter" /></label>
    </div>
    <${Loaded} from=${isFiltered ? fitting : first} what="Loading predictions">
      ${() => rows.length
        ? html`<div onfocusin=${hold} onfocusout=${release} onMouseEnter=${hold} onMouseLeave=${release}>
            <${Table} caption="Newest predictions" columns=${columns} rows=${rows} rowKey=${(each) => each.event_id} rowClass=${(each) => (each.event_id === chosen ? "chosen" : "")} />
          </div>`
        : isFiltered
          ? html`<${Empty} title="None fits">Of the newest 5,000 predictions.<//>`
          : html`<${Empty} title="No predictions yet">Send an event: <code>POST /v1/events</code>, or produce one to the topic.<//>`}
    <//>
  <//>`;
}

/** A value once it has not changed for a moment. */
function useLater(it, ms = 300) {
  const [later, setLater] = useState(it);
  useEffect(() => {
    const timer = setTimeout(() => setLater(it), ms);
    return () => clearTimeout(timer);
  }, [it]);
  return later;
}

/** The first of each id; in order, at most so many. */
function merged(newer, older) {
  const seen = new Set();
  return [...newer, ...older].filter((each) => !seen.has(each.event_id) && seen.add(each.event_id)).slice(0, MOST);
}

const RATE_MS = 3000;
const LEAST_SECONDS = 0.4;

/** How many predictions a second there were lately, and how many of them were told. */
function newer(known, said) {
  const now = performance.now();
  const told = [...(known?.told || []), { at: now, all: said.new, shown: said.records.length }].filter((each) => each.at > now - RATE_MS);
  const seconds = (now - told[0].at) / 1000;
  if (seconds < LEAST_SECONDS) return { ...known, told };
  const sum = (what) => told.slice(1).reduce((total, each) => total + each[what], 0);
  return { told, isPart: sum("shown") < sum("all"), shown: sum("shown") / seconds, all: sum("all") / seconds };
}

/** What is to hold the label, or why there is nothing. */
function Region({ of }) {
  if (of == null) return "";
  if (of.why_none) return html`<small title=${WHY_NONE[of.why_none] ?? of.why_none}>none</small>`;
  const title = `Is to hold ${f.percent(of.coverage, 1)} of labels`;
  return html`<span class="long" title=${title}>${region(of)}</span>${of.abstained && html` <small>abstained</small>`}`;
}

const region = (of) =>
  of.lower == null ? Object.keys(of.classes).join(" or ") || "no class" : `${f.value(of.lower)} to ${f.value(of.upper)}`;

function certain(each) {
  const known = each.probabilities[String(each.value)];
  return known == null ? "" : html`<small class="num">${f.percent(known)}</small>`;
}

function Fate({ of }) {
  const { outcome, value } = of;
  if (!outcome) return html`<small>awaited</small>`;
  if (outcome.label === null) return html`<${Badge} tone="unsure">${outcome.fate}<//>`;
  const isRight = outcome.label === value;
  const tone = typeof value === "number" ? "" : isRight ? "good" : "bad";
  return html`<${Badge} tone=${tone}>${f.value(outcome.label)}<//>`;
}

function One({ id }) {
  const loaded = useLoaded(`/v1/predictions/${encodeURIComponent(id)}`, { topics: ["outcomes"] });
  return html`<p class="back"><a href="#/predictions">← All predictions</a></p>
    <${Card} title=${`Event ${id}`} id="one">
      <${Loaded} from=${loaded} what="Loading the prediction">${(of) => html`<${Full} of=${of} />`}<//>
    <//>`;
}

function Full({ of }) {
  const classes = Object.entries(of.probabilities).sort((a, b) => b[1] - a[1]);
  const command = `millrace reproduce ${f.quoted(of.event_id)} --pipeline FILE --broker HOST:9092`;
  return html`
    <p class="note">Predicted</p>
    <p class="value">${of.value === null ? nothing(of) : f.value(of.value)}</p>
    ${classes.length > 0 && html`<ul class="plain counts">${classes.slice(0, 10).map(([name, share]) => html`<li key=${name}>
      <span class="long">${name}</span><${Bar} share=${share} label=${`probability ${f.percent(share, 1)}`} /><span class="num">${f.percent(share, 1)}</span></li>`)}</ul>`}
    <${Certainty} of=${of.certainty} />
    <h3>What became of it</h3>
    <${Outcome} of=${of.outcome} />
    <h3>Features and reasons</h3>
    <${Reasons} of=${of} />
    <h3>How it was made</h3>
    <${Facts} of=${[
      ["Model", html`<${Long} text=${of.model} code=${false} />`, `version ${f.count(of.model_version)}: examples learned`],
      ["Behind", f.plural(of.staleness_examples, "example"), "that the model had not learned from yet"],
      ["Event time", html`<${When} ms=${of.event_time_ms} />`],
      ["Predicted at", html`<${When} ms=${of.prediction_time_ms} />`],
      ["Key", of.key == null ? "none" : html`<${Long} text=${of.key} />`],
      ["Definition", html`<${Long} text=${f.reference(of.definition)} />`],
    ]} />
    <h3>Reproduce it</h3>
    <p class="note">From the log alone, and compare to the last bit:</p>
    <div class="shell"><pre tabindex="0" aria-label="Command">${command}</pre><${Copy} text=${command} /></div>`;
}

const WHY_NONE = {
  no_label: "No label has been learned yet.",
  no_prediction: "The model predicted no number.",
  no_probabilities: "The model gives no probabilities.",
};
const ABSTAINED = {
  no_class: "do not know: no class is probable enough",
  several_classes: "do not know: several classes are probable enough",
};

function nothing(of) {
  return ABSTAINED[of.certainty?.abstained] ?? "nothing: the model cannot predict yet";
}

/** The interval, or the classes, that hold the label so often. */
function Certainty({ of }) {
  if (of == null) return null;
  const isEmpty = of.lower == null && !Object.keys(of.classes).length;
  return html`<h3>Certainty</h3>${of.why_none
    ? html`<p class="note">${WHY_NONE[of.why_none] ?? of.why_none}</p>`
    : html`<${Facts} of=${[
      [of.lower == null ? "Classes" : "Interval", html`<strong>${region(of)}</strong>`, isEmpty ? "the model is less sure of each than it usually is when it is right" : ""],
      ["Is to hold", `${f.percent(of.coverage, 1)} of labels`],
      ["Threshold", f.value(of.threshold)],
      ...(of.abstained ? [["Answer", ABSTAINED[of.abstained] ?? of.abstained]] : []),
    ]} />`}`;
}

function Outcome({ of }) {
  if (!of) return html`<p class="note">Its label has not come yet, or has just come.</p>`;
  const losses = Object.entries(of.losses).sort((a, b) => a[1] - b[1]);
  return html`<${Facts} of=${[
      ["Fate", html`<${Badge} tone=${of.fate === "joined" ? "good" : "unsure"}>${f.words(of.fate)}<//>`],
      ["Label", of.label == null ? "none" : html`<strong>${f.value(of.label)}</strong>`, of.label_source ? `from ${of.label_source}` : ""],
      ["Delay", of.label_delay_ms == null ? "not known" : f.duration(of.label_delay_ms / 1000)],
    ]} />
    ${losses.length > 0 && html`<details class="numbers"><summary>Losses of ${f.plural(losses.length, "candidate")}</summary>
      <table><tbody>${losses.map(([name, it]) => html`<tr key=${name}><th scope="row">${name}</th><td class="right">${f.loss(it)}</td></tr>`)}</tbody></table></details>`}`;
}

const SCALES = {
  target: () => "in units of the prediction",
  log_odds: (of) => `in log-odds of ${f.value(of.of)} against ${of.against == null ? "all others" : f.value(of.against)}`,
  probability: (of) => `in probability of ${f.value(of.of)}`,
};

function Reasons({ of }) {
  const { reasons } = of;
  const known = reasons && !reasons.why_none ? reasons.contributions : {};
  const named = Object.keys(known);
  const others = Object.keys(of.features).filter((each) => !(each in known)).sort();
  const rows = [...named, ...others];
  const most = Math.max(...Object.values(known).map(Math.abs), 1e-12);
  const total = reasons ? reasons.base + reasons.rest + Object.values(known).reduce((a, b) => a + b, 0) : 0;
  const columns = [
    { title: "Feature", isHead: true, cell: (name) => html`<span class="long code">${name}</span>` },
    { title: "Value", align: "right", cell: (name) => (name in of.features ? html`<span class="long">${f.value(of.features[name])}</span>` : "–") },
    named.length > 0 && { title: "Adds", align: "right", cell: (name) => (name in known ? html`<strong>${added(known[name])}</strong>` : "") },
    named.length > 0 && { title: "Less │ more", cell: (name) => name in known && html`<${Adds} share=${known[name] / most} />` },
  ];
  return html`
    <p class="note">${!reasons
      ? "The pipeline does not ask for reasons: set reasons=3 in its definition."
      : reasons.why_none
        ? f.sentence(reasons.why_none)
        : `What features add, ${(SCALES[reasons.scale] || (() => reasons.scale))(reasons)}: ${added(reasons.base)} without any, ${added(reasons.rest)} by all others, ${added(total)} together.`}</p>
    ${rows.length
      ? html`<${Table} caption="Features" columns=${columns} rows=${rows} rowKey=${(name) => name} />`
      : html`<p class="note">The model saw no features.</p>`}`;
}

const added = (it) => (it > 0 ? "+" : "") + f.number(Number(it.toPrecision(4))).replace("-", "−");

const Adds = ({ share }) => html`<span class="reason" aria-hidden="true">
  <span class="less" style=${{ width: `${share < 0 ? -100 * share : 0}%` }}></span>
  <span class="more" style=${{ width: `${share > 0 ? 100 * share : 0}%` }}></span>
</span>`;
