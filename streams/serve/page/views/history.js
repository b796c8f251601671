// Who has changed what, and why; definitions, compared; snapshots.

import { html, useMemo, useState } from "../vendor/htm-preact.module.js";
import { useLoaded } from "../hooks.js";
import { Badge, Card, Empty, Loaded, Long, Table, When } from "../parts.js";
import * as f from "../format.js";

const SHOWN = 40;
const TONES = { refused: "bad", accepted: "", promoted: "good", rolled_back: "bad", reset: "unsure", paused: "unsure", resumed: "good" };

export default function History() {
  const audit = useLoaded("/v1/audit?limit=1000", { topics: ["audit"] });
  const definitions = useLoaded("/v1/definitions", { topics: ["audit"] });
  return html`
    <${Card} title="Audit" note="Each change of what the pipeline does, and each command that was refused.">
      <${Loaded} from=${audit} what="Loading the audit">${({ records }) => html`<${Audit} of=${records} />`}<//>
    <//>
    <${Card} title="Definitions">
      <${Loaded} from=${definitions} what="Loading definitions">${(of) => html`<${Definitions} of=${of} />`}<//>
    <//>
    <${Card} title="Snapshots" note="Versions of the state that were asked for: millrace versions lists all that the archive has.">
      <${Loaded} from=${audit} what="Loading snapshots">${({ records }) => html`<${Snapshots} of=${records} />`}<//>
    <//>`;
}

const whole = (each) => [each.subject, each.action, each.who, each.why, each.before, each.after, each.command_id, ...Object.values(each.evidence)].join(" ").toLowerCase();

/** Entries that say the same of several partitions, as one. */
function together(entries) {
  const found = new Map();
  for (const each of entries) {
    const { subject, action, who, why, before, after, command_id, writer, topic, evidence } = each;
    const key = JSON.stringify([subject, action, who, why, before, after, command_id, writer, topic, evidence]);
    if (command_id !== null && found.has(key)) found.get(key).places.push(each);
    else found.set(command_id === null ? each.digest : key, { ...each, places: [each] });
  }
  return [...found.values()];
}

function Audit({ of }) {
  const [text, setText] = useState("");
  const rows = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return together(of.filter((each) => !wanted || whole(each).includes(wanted)));
  }, [of, text]);
  const columns = [
    { title: "When, UTC", isHead: true, align: "time", cell: (each) => html`<${When} ms=${each.time_ms} />` },
    { title: "What", cell: (each) => html`<span class="long">${each.subject}</span> <${Badge} tone=${TONES[each.action]}>${f.words(each.action)}<//>` },
    { title: "Who", cell: (each) => html`<span class="long">${each.who || "–"}</span>` },
    { title: "Why", cell: (each) => html`<span class="long">${each.why || "–"}</span>` },
    { title: "Change", cell: (each) => html`<${Change} of=${each} />` },
    { title: "Where", cell: (each) => html`<small class="long">${each.writer}<br />${each.topic}${each.places.slice(0, 4).map((one) => html`<wbr />[${one.partition}]@${one.offset} `)}${each.places.length > 4 ? ` and ${each.places.length - 4} more` : ""}</small>` },
  ];
  if (!of.length) return html`<${Empty} title="Nothing yet">The first deploy is the first entry.<//>`;
  return html`<div class="filters"><label>Filter <input type="search" placeholder="who, why, model, command" value=${text} onInput=${(event) => setText(event.target.value)} /></label></div>
    ${rows.length
      ? html`<${Table} caption="Audit" columns=${columns} rows=${rows} step=${SHOWN} rowKey=${(each) => each.digest} />`
      : html`<${Empty} title="None fits" />`}`;
}

function Change({ of }) {
  const evidence = Object.entries(of.evidence);
  return html`${(of.before || of.after) && html`<span class="long">${f.reference(of.before || "")} → ${f.reference(of.after || "")}</span>`}
    ${evidence.length > 0 && html`<details class="numbers"><summary>evidence</summary><ul class="plain">
      ${evidence.map(([name, it]) => html`<li key=${name} class="long"><small>${name}</small> ${it}</li>`)}</ul></details>`}`;
}

function Definitions({ of }) {
  const known = of.definitions;
  const numbers = known.map((each) => String(each.number));
  const [before, setBefore] = useState("");
  const [after, setAfter] = useState("");
  const from = before || numbers[Math.max(numbers.length - 2, 0)];
  const to = after || numbers[numbers.length - 1];
  const columns = [
    { title: "Command", isHead: true, cell: (each) => html`${each.number} ${each === known[known.length - 1] && html`<${Badge} tone="good">in force<//>`}` },
    { title: "Definition", cell: (each) => html`<span class="code long" title=${each.definition}>${f.reference(each.definition)}</span>` },
    { title: "Since, UTC", align: "time", cell: (each) => html`<${When} ms=${each.time_ms} />` },
    { title: "Who", cell: (each) => html`<span class="long">${each.who || "–"}</span>` },
    { title: "Why", cell: (each) => html`<span class="long">${each.why || "–"}</span>` },
  ];
  const choice = (label, chosen, choose) => html`<label>${label} <select value=${chosen} onChange=${(event) => choose(event.target.value)}>
    ${known.map((each) => html`<option key=${each.number} value=${each.number}>${each.number}: ${f.reference(each.definition)}</option>`)}</select></label>`;
  return html`<${Table} caption="Definitions" columns=${columns} rows=${known.slice().reverse()} rowKey=${(each) => each.number} />
    ${known.length > 1
      ? html`<h3 class="apart">Compare two</h3><div class="filters">${choice("From", from, setBefore)}${choice("To", to, setAfter)}</div><${Difference} before=${from} after=${to} />`
      : html`<p class="note apart">There is one definition: nothing to compare it with.</p>`}`;
}

function Difference({ before, after }) {
  const path = before === after ? null : `/v1/difference?${new URLSearchParams({ before, after })}`;
  const found = useLoaded(path);
  if (!path) return html`<${Empty} title="They are one and the same" />`;
  return html`<${Loaded} from=${found} what="Comparing">
    ${(of) => {
      const files = Object.entries(of.files);
      const other = files.filter(([, lines]) => lines.length);
      const changes = of.changes.slice(1).map((each) => each.trim());
      const stays = changes.filter((each) => / (goes|go) on$/.test(each));
      return html`
        <ul class="changes">${changes.filter((each) => !stays.includes(each)).map((each) => html`<li key=${each} class="long">${each}</li>`)}</ul>
        ${stays.length > 0 && html`<details class="numbers"><summary>What goes on as it is</summary><ul class="changes">${stays.map((each) => html`<li key=${each} class="long">${each}</li>`)}</ul></details>`}
        ${other.length
          ? other.map(([name, lines]) => html`<details open key=${name}><summary><code class="long">${name}</code></summary><${Lines} of=${lines} name=${name} /></details>`)
          : html`<p class="note">No file is another.</p>`}`;
    }}
  <//>`;
}

const KIND = { "+": "add", "-": "del", "@": "at" };

const Lines = ({ of, name }) => html`<div class="diff" tabindex="0" role="region" aria-label=${`What changes in ${name}`}>
  ${of.slice(2).map((each, at) => html`<div key=${at} class=${KIND[each[0]] || ""}>${each || " "}</div>`)}
</div>`;

function Snapshots({ of }) {
  const rows = of.filter((each) => each.evidence.command === "snapshot" && each.action !== "refused");
  const asked = rows.filter((each) => each.writer === "control");
  const columns = [
    { title: "Asked for, UTC", isHead: true, cell: (each) => html`<${When} ms=${each.time_ms} />` },
    { title: "Version", cell: (each) => html`<${Long} text=${each.evidence.version || "–"} />` },
    { title: "Who", cell: (each) => each.who || "–" },
    { title: "Why", cell: (each) => html`<span class="long">${each.why || "–"}</span>` },
    { title: "Partitions", align: "right", cell: (each) => `${rows.filter((one) => one !== each && one.command_id === each.command_id).length} of ${each.evidence.partitions || "?"}` },
  ];
  return asked.length
    ? html`<${Table} caption="Snapshots" columns=${columns} rows=${asked} rowKey=${(each) => each.digest} />`
    : html`<${Empty} title="No snapshots were asked for">The models view has a button for it, and <code>millrace snapshot</code> does it, too.<//>`;
}
