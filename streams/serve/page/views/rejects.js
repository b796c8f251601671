// Records that could not be used: by reason, decoded, and sent again once they are mended.

import { html, useEffect, useState } from "../vendor/htm-preact.module.js";
import { get, post } from "../api.js";
import { useLoaded, useMe } from "../hooks.js";
import { Badge, Card, Empty, Facts, Loaded, Long, Table, Trouble, When } from "../parts.js";
import * as f from "../format.js";

const SHOWN = 40;

const place = (each) => `${each.topic}[${each.partition}]@${each.offset}`;
const address = (each) => `#/rejects/${encodeURIComponent(place(each))}`;

/** Topic, partition and offset of a place as text; null where it is none. */
function placed(text) {
  const found = /^(.+)\[(\d+)\]@(\d+)$/.exec(text);
  return found && { topic: found[1], partition: found[2], offset: found[3] };
}

export default function Rejects({ rest }) {
  const reasons = useLoaded("/v1/reasons", { topics: ["rejects"] });
  const [reason, setReason] = useState("");
  const chosen = placed(rest);
  return html`
    <${Card} title="By reason" note="Of the newest 1,000 rejects of each partition when this server started, and of all since.">
      <${Loaded} from=${reasons} what="Loading reasons">
        ${(of) => of.reasons.length
          ? html`<${Reasons} of=${of.reasons} reason=${reason} choose=${setReason} />`
          : html`<${Empty} title="No rejects">Every record could be used.<//>`}
      <//>
    <//>
    ${(chosen || reasons.data?.reasons.length > 0) && html`<div class=${`split ${chosen ? "open" : "alone"}`}>
      <div class="list"><${Newest} reason=${reason} clear=${() => setReason("")} chosen=${rest} /></div>
      ${chosen && html`<div class="detail"><${One} of=${chosen} key=${rest} /></div>`}
    </div>`}`;
}

function Reasons({ of, reason, choose }) {
  const columns = [
    { title: "Reason", isHead: true, cell: (each) => html`<button type="button" class="small toggle" aria-pressed=${reason === each.reason} onClick=${() => choose(reason === each.reason ? "" : each.reason)}>${f.words(each.reason)}</button>` },
    { title: "Records", align: "right", cell: (each) => html`<strong>${f.count(each.count)}</strong>` },
    { title: "What it means", cell: (each) => html`<span class="note">${each.meaning}</span>` },
    { title: "First, UTC", align: "time", isWide: true, cell: (each) => html`<${When} ms=${each.first_ms}>${f.time(each.first_ms, false)}<//>` },
    { title: "Last, UTC", align: "time", cell: (each) => html`<${When} ms=${each.last_ms}>${f.time(each.last_ms, false)}<//>` },
  ];
  return html`<${Table} caption="Rejects by reason" columns=${columns} rows=${of} rowKey=${(each) => each.reason} rowClass=${(each) => (each.reason === reason ? "chosen" : "")} />`;
}

function Newest({ reason, clear, chosen }) {
  const rejects = useLoaded("/v1/rejects?limit=1000&values=false", { topics: ["rejects"], least: 2 });
  const columns = [
    { title: "Record", isHead: true, cell: (each) => html`<a class="pick" href=${address(each)} aria-current=${place(each) === chosen ? "true" : undefined}>${each.topic}<wbr />[${each.partition}]<wbr />@${each.offset}</a>` },
    { title: "Reason", cell: (each) => html`<${Badge} tone="unsure">${f.words(each.reason)}<//>` },
    { title: "What was wrong", cell: (each) => html`<span class="note">${each.detail}</span>` },
    { title: "When, UTC", align: "time", cell: (each) => html`<${When} ms=${each.timestamp_ms}>${f.time(each.timestamp_ms, false)}<//>` },
  ];
  return html`<${Card} title="Newest" id="newest-rejects" actions=${reason && html`<button type="button" class="small" onClick=${clear}>Only ${f.words(reason)} ✕<span class="hidden">: show all</span></button>`}>
    <${Loaded} from=${rejects} what="Loading rejects">
      ${({ records }) => {
        const rows = records.filter((each) => !reason || each.reason === reason);
        return html`<${Table} caption="Newest rejects" columns=${columns} rows=${rows} step=${SHOWN} rowKey=${(each) => `${place(each)} ${each.reason} ${each.detail}`} rowClass=${(each) => (place(each) === chosen ? "chosen" : "")} />
          ${!rows.length && html`<${Empty} title="None among the newest" />`}`;
      }}
    <//>
  <//>`;
}

function One({ of }) {
  const query = new URLSearchParams(of);
  const payload = useLoaded(`/v1/payload?${query}`);
  return html`<p class="back"><a href="#/rejects">← All rejects</a></p>
    <${Card} title=${place(of)} id="one-reject">
      <${Loaded} from=${payload} what="Loading the record">
        ${(found) => html`
          <p><${Badge} tone="unsure">${f.words(found.reject.reason)}<//></p>
          <p class="long">${found.reject.detail}</p>
          <${Facts} of=${[
            ["Encoding", found.encoding],
            ["Size", `${f.count(found.reject.value_size_bytes)} bytes`, found.is_cut ? "cut off here" : ""],
            ["Key", found.reject.key == null ? "none" : html`<${Long} text=${decoded(found.reject.key)} />`],
            ["When", html`<${When} ms=${found.reject.timestamp_ms} />`],
          ]} />
          ${found.reject.headers.length > 0 && html`<h3>Headers</h3><ul class="plain">${found.reject.headers.map((each, at) => html`<li key=${at} class="code long">${each.name}: ${each.value == null ? "none" : decoded(each.value)}</li>`)}</ul>`}
          <h3>Payload</h3>
          ${found.text ? html`<pre tabindex="0" aria-label="Payload">${found.text}</pre>` : html`<p class="note">It has no value.</p>`}
          <h3>Send it again</h3>
          ${found.again ? html`<${Mend} again=${found.again} isCut=${found.is_cut} />` : html`<p class="note">${found.why_not}</p>`}`}
      <//>
    <//>`;
}

/** Bytes in base64, as text where they are some. */
function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return [...bytes].map((each) => each.toString(16).padStart(2, "0")).join(" ");
  }
}

function Mend({ again, isCut }) {
  const me = useMe();
  const [text, setText] = useState(again.is_json ? again.text : "{\n  \n}");
  const [sent, setSent] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isSending, setSending] = useState(false);
  useEffect(() => setText(again.is_json ? again.text : "{\n  \n}"), [again.text]);
  if (!me.may.includes("send")) {
    return html`<p class="note">Needs the role producer or admin; you are ${me.role}.</p>`;
  }
  const what = again.to === "/v1/labels" ? "label" : "event";
  let wrong = "";
  try {
    const parsed = JSON.parse(text);
    if (!parsed || typeof parsed !== "object" || Array.isArray(parsed)) wrong = "It must be one JSON object.";
  } catch (error) {
    wrong = `It is no JSON: ${error.message}`;
  }
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    setSent(null);
    setSending(true);
    try {
      setSent(await post(`${again.to}${what === "event" ? "?wait=prediction&timeout=10" : ""}`, text));
    } catch (found) {
      setProblem(found);
    }
    setSending(false);
  };
  return html`<form class="mend" onSubmit=${submit}>
    <label>The ${what}, in JSON
      <small>${again.is_json ? "Mend it, and send it again." : "It could not be read: write it anew."}${isCut ? " What is here was cut off." : ""}</small>
      <textarea class="code" rows=${Math.min(Math.max(text.split("\n").length + 1, 5), 22)} spellcheck="false" value=${text} onInput=${(event) => setText(event.target.value)} aria-invalid=${wrong ? "true" : undefined} aria-describedby="wrong"></textarea>
    </label>
    <p id="wrong" class="note">${wrong}</p>
    ${isTaken(problem)
      ? html`<${Awaited} of=${problem.body} key=${problem.body.offset} />`
      : html`<${Trouble} problem=${problem} />`}
    ${sent && html`<p class="came good" role="status">${said(sent)}</p>`}
    <div class="dialog-foot"><button type="submit" class="primary" disabled=${Boolean(wrong) || isSending}>${isSending ? "Sending …" : `Send the ${what}`}</button></div>
  </form>`;
}

/** Whether an event is on Kafka, and nothing is known of its prediction yet. */
const isTaken = (problem) => Boolean(problem?.body.event_id && problem.body.offset != null && problem.status >= 500);

const LOOKS = 30;
const LOOK_MS = 1000;

/** An event whose prediction has not come in time: it may be looked for. */
function Awaited({ of }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const [looks, setLooks] = useState(0);
  const path = `/v1/predictions/${encodeURIComponent(of.event_id)}`;
  useEffect(() => {
    if (!looks) return undefined;
    const controller = new AbortController();
    let timer = 0;
    const look = async () => {
      try {
        setFound({ status: 200, body: await get(path, controller.signal) });
      } catch (error) {
        if (error.name === "AbortError") return;
        if (error.status === 404 && looks < LOOKS) timer = setTimeout(() => setLooks(looks + 1), LOOK_MS);
        else {
          if (error.status !== 404) setProblem(error);
          setLooks(0);
        }
      }
    };
    look();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [looks]);
  if (found) return html`<p class="came good" role="status">${said(found)}</p>`;
  return html`<div class="came unsure" role="status">
      <p>It is on Kafka, as <span class="code long">${place(of)}</span>, and has no prediction yet. There is no need to send it again.</p>
      <p class="note">Workers may be behind: see the <a href="#/flow">flow</a>. An event that is rejected is among the <a href="#/rejects">newest rejects</a>.</p>
    </div>
    <${Trouble} problem=${problem} />
    <div class="dialog-foot"><button type="button" disabled=${looks > 0} onClick=${() => {
      setProblem(null);
      setLooks(1);
    }}>${looks > 0 ? "Looking …" : "Look for the prediction"}</button></div>`;
}

function said({ status, body }) {
  if (status === 202) return html`It is on Kafka, as <span class="code long">${place(body)}</span>.`;
  return html`Predicted: <a href=${`#/predictions/${encodeURIComponent(body.event_id)}`}><strong>${f.value(body.value)}</strong></a>.`;
}
