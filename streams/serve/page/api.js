// Asks the server, with the token of this tab where it has one, and follows what is new.

const TOKEN = "millrace.token";
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

/** An answer that is a problem (RFC 9457), or none at all (status 0). */
export class Problem extends Error {
  constructor(status, body = {}) {
    super(body.detail || "the server does not answer");
    this.status = status;
    this.title = body.title || (status ? `Status ${status}` : "No answer");
    this.fix = body.fix || "";
    this.body = body;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) || "",
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

function headers(more = {}) {
  const known = token.get();
  return known ? { ...more, Authorization: `Bearer ${known}` } : more;
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return { status: response.status, body };
  if (response.status === 401) live.refuse();
  throw new Problem(response.status, body);
}

export const get = async (path, signal) => (await answer(path, { signal })).body;

export const post = (path, text) =>
  answer(path, { method: "POST", body: text, headers: { "Content-Type": "application/json" } });

/** What is new, told by one stream for the whole page. States: connecting, live, gone, refused. */
class Live {
  constructor() {
    this.state = "connecting";
    this.counts = {};
    this.problem = "";
    this.listeners = new Set();
    this.takers = new Set();
    this.attempt = 0;
  }

  /** Call back whenever state or counts change; return what ends that. */
  listen(callback) {
    this.listeners.add(callback);
    return () => this.listeners.delete(callback);
  }

  /** Be given predictions as they come, while the page can be seen; return what ends that. */
  take(callback) {
    const show = () => this.restart();
    this.takers.add(callback);
    if (this.takers.size === 1) this.restart();
    document.addEventListener("visibilitychange", show);
    return () => {
      document.removeEventListener("visibilitychange", show);
      this.takers.delete(callback);
      if (!this.takers.size) this.restart();
    };
  }

  restart() {
    this.stop();
    this.attempt = 0;
    this.run();
  }

  stop() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.controller = null;
  }

  refuse() {
    this.stop();
    this.tell("refused");
  }

  tell(state) {
    this.state = state;
    this.listeners.forEach((each) => each());
  }

  async run() {
    const controller = (this.controller = new AbortController());
    const path = `/v1/live?predictions=${this.takers.size > 0 && !document.hidden}`;
    try {
      const options = { signal: controller.signal, headers: headers(), cache: "no-store" };
      const response = await fetch(path, options);
      if (response.status === 401 || response.status === 403) {
        if (response.status === 401) this.tell("refused");
        return;
      }
      if (!response.ok) throw new Error(response.statusText);
      this.attempt = 0;
      await this.read(response.body.getReader());
    } catch (error) {
      if (controller.signal.aborted) return;
    }
    if (controller.signal.aborted) return;
    this.tell("gone");
    this.timer = setTimeout(() => this.run(), RETRY_MS[Math.min(this.attempt++, 4)]);
  }

  async read(reader) {
    const decoder = new TextDecoder();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = parts.pop();
      parts.forEach((each) => this.event(each));
    }
  }

  event(text) {
    let name = "message";
    let data = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data) return;
    const said = JSON.parse(data);
    if (name === "predictions") this.takers.forEach((each) => each(said));
    if (name === "counts") {
      this.problem = said.problem;
      this.counts = said;
      this.tell("live");
    }
  }
}

export const live = new Live();
