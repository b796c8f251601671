// Commands: a reason is asked for before one is sent, and what the audit says of it is shown.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.module.js";
import { get, post } from "./api.js";
import { Trouble, When } from "./parts.js";
import * as f from "./format.js";

const POLL_MS = 700;
const GIVE_UP_MS = 60000;
const TONES = { accepted: "unsure", refused: "bad" };

/**
 * A dialog for a command.
 *
 * command: {name, title, does, fixed, ask, verb}: `fixed` are arguments that are given, `ask` those
 * that are asked for, as [{name, label, options}]. close(): when it is closed.
 */
export function CommandDialog({ command, close }) {
  const dialog = useRef(null);
  const [why, setWhy] = useState("");
  const [asked, setAsked] = useState(() =>
    Object.fromEntries((command.ask || []).map((each) => [each.name, each.options?.[0] ?? ""])),
  );
  const [sent, setSent] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isSending, setSending] = useState(false);
  useEffect(() => {
    dialog.current.showModal();
    return () => dialog.current?.close();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    setSending(true);
    const { name, fixed = {} } = command;
    const body = { command: name, arguments: { ...fixed, ...asked }, why: why.trim() };
    try {
      setSent((await post("/v1/commands", JSON.stringify(body))).body);
    } catch (found) {
      setProblem(found);
    }
    setSending(false);
  };
  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="command-title" onClose=${close}>
    <form onSubmit=${submit}>
      <h2 id="command-title">${command.title}</h2>
      <p>${command.does}</p>
      ${Object.entries(command.fixed || {}).length > 0 && html`<p class="note">
        ${Object.entries(command.fixed).map(([name, it]) => html`<code class="long" key=${name}>${name}=${it}</code> `)}
      </p>`}
      ${!sent && html`
        ${(command.ask || []).map((each) => html`<label key=${each.name}>${each.label}
          ${each.options
            ? html`<select value=${asked[each.name]} onChange=${(event) => setAsked({ ...asked, [each.name]: event.target.value })}>
                ${each.options.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`
            : html`<input type="text" required value=${asked[each.name]} onInput=${(event) => setAsked({ ...asked, [each.name]: event.target.value })} />`}
        </label>`)}
        <label>Reason <small>the audit keeps it, with your name</small>
          <textarea rows="2" required maxlength="1000" value=${why} onInput=${(event) => setWhy(event.target.value)}></textarea>
        </label>
        <${Trouble} problem=${problem} />`}
      ${sent && html`<${Came} of=${sent} />`}
      <div class="dialog-foot">
        <button type="button" onClick=${() => dialog.current.close()}>${sent ? "Close" : "Cancel"}</button>
        ${!sent && html`<button type="submit" class="primary" disabled=${isSending || !why.trim()}>${command.verb}</button>`}
      </div>
    </form>
  </dialog>`;
}

/** What the audit says of a command, asked for until each partition has applied it. */
function Came({ of }) {
  const [entries, setEntries] = useState([]);
  const [problem, setProblem] = useState(null);
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const begun = Date.now();
    const controller = new AbortController();
    let timer = 0;
    const ask = async () => {
      try {
        const { records } = await get(of.audit, controller.signal);
        setEntries(records.reverse());
        setProblem(null);
        if (isDone(records)) return setOver(true);
      } catch (found) {
        if (found.name === "AbortError") return undefined;
        setProblem(found);
      }
      if (Date.now() - begun > GIVE_UP_MS) return setOver(true);
      timer = setTimeout(ask, POLL_MS);
      return undefined;
    };
    ask();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [of]);
  const isRefused = entries.some((each) => each.action === "refused");
  const done = isDone(entries);
  return html`<div class="came" role="status">
    <p><strong>${isRefused ? "Refused." : done ? "Done." : isOver ? "Not applied within a minute: it stays in the log until a worker comes to it." : "Sent. Waiting for the audit …"}</strong></p>
    <ul class="plain">${entries.map((each) => html`<li key=${each.digest} class=${TONES[each.action] || "good"}>${told(each)}</li>`)}</ul>
    <${Trouble} problem=${problem} />
  </div>`;
}

/** Whether a command was refused, or each of its partitions has done it. */
function isDone(entries) {
  if (entries.some((each) => each.action === "refused")) return true;
  const accepted = entries.find((each) => each.action === "accepted");
  if (!accepted) return false;
  const applied = new Set(entries.filter((each) => each.action !== "accepted").map((each) => each.partition));
  return applied.size >= Number(accepted.evidence.partitions || 1);
}

function told(entry) {
  if (entry.action === "refused") return f.sentence(entry.evidence.reason || "refused");
  const from = entry.before && entry.after ? `: ${entry.before} → ${entry.after}` : "";
  const where = entry.action === "accepted" ? "" : `, partition ${entry.partition}`;
  return html`<${When} ms=${entry.time_ms}>${f.clock(entry.time_ms)}<//> ${entry.subject} ${f.words(entry.action)}${entry.action === "accepted" ? "" : from}${where}`;
}
