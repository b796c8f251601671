// The page: who asks, the navigation, and the view that the hash names.

import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact.module.js";
import { get, live, token } from "./api.js";
import { Me, useLive } from "./hooks.js";
import { Loading, Trouble } from "./parts.js";
import { views } from "./views.js";

const STATES = {
  live: ["good", "Live"],
  connecting: ["unsure", "Connecting"],
  gone: ["bad", "No answer"],
  refused: ["bad", "Token refused"],
};

/** The view that the hash names, and what is behind it: #/predictions/a-3. */
function route() {
  const [path, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = views.find((each) => each.path === path) || views[0];
  return { view, rest: decoded(rest.join("/")) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function Login({ problem, done }) {
  const [given, setGiven] = useState("");
  const input = useRef(null);
  useEffect(() => input.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    token.set(given.trim());
    done();
  };
  return html`<main class="login" id="main">
    <form class="card" onSubmit=${submit}>
      <h1>Millrace</h1>
      <p id="why">This server asks for a token, as <code>millrace token</code> makes one. It stays in this tab.</p>
      ${problem && html`<p class="trouble" role="alert">${problem}</p>`}
      <label for="token">Token</label>
      <input id="token" type="password" autocomplete="off" aria-describedby="why" required
        ref=${input} value=${given} onInput=${(event) => setGiven(event.target.value)} />
      <button type="submit" class="primary">Open</button>
    </form>
  </main>`;
}

function State() {
  const { state, problem } = useLive();
  const [tone, text] = state === "live" && problem ? ["unsure", "Stale"] : STATES[state];
  return html`<span class=${`state ${tone}`} role="status" title=${problem || text}><span class="dot" aria-hidden="true"></span>${text}</span>`;
}

function Header({ me, current, leave }) {
  const list = useRef(null);
  useEffect(() => {
    const chosen = list.current?.querySelector("[aria-current]");
    if (chosen) list.current.scrollLeft = chosen.offsetLeft - 24;
  }, [current]);
  return html`<header>
    <a class="skip" href="#main" onClick=${(event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    }}>Skip to the content</a>
    <div class="top">
      <a class="brand" href="#/overview"><img src="/page/icon.svg" alt="" width="24" height="24" />
        <span>Millrace</span> <strong title=${me.pipeline}>${me.pipeline}</strong></a>
      <${State} />
      ${me.has_tokens && html`<span class="who" title=${`${me.name}, ${me.role}`}><span class="hidden">You are </span>${me.name}, ${me.role}</span>`}
      ${me.has_tokens && html`<button type="button" class="small" onClick=${leave}>Sign out</button>`}
    </div>
    <nav aria-label="Views"><ul ref=${list}>
      ${views.map((each) => html`<li key=${each.path}>
        <a href=${`#/${each.path}`} aria-current=${each === current ? "page" : undefined}>${each.title}</a>
      </li>`)}
    </ul></nav>
  </header>`;
}

function View({ view, rest }) {
  const [loaded, setLoaded] = useState({});
  const heading = useRef(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${view.title} · Millrace`;
    if (!isFirst.current) {
      heading.current.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    isFirst.current = false;
    view.load().then(
      (module) => setLoaded({ view, component: module.default }),
      (problem) => setLoaded({ view, problem }),
    );
  }, [view]);
  const isThere = loaded.view === view;
  return html`<main id="main" tabindex="-1" class=${`view ${view.path}`}>
    <h1 tabindex="-1" ref=${heading}>${view.title}</h1>
    ${isThere && loaded.problem && html`<${Trouble} problem=${{ title: "This view cannot be loaded", message: loaded.problem.message, fix: "Reload the page." }} />`}
    ${isThere && loaded.component ? html`<${loaded.component} rest=${rest} />` : !loaded.problem && html`<${Loading} />`}
  </main>`;
}

function App() {
  const [me, setMe] = useState(null);
  const [problem, setProblem] = useState(null);
  const [at, setAt] = useState(route);
  const { state } = useLive();
  const ask = async () => {
    setProblem(null);
    try {
      const known = await get("/v1/me");
      setMe(known);
      if (known.may.includes("read")) live.restart();
    } catch (found) {
      setMe(null);
      setProblem(found);
    }
  };
  const leave = () => {
    token.forget();
    live.stop();
    ask();
  };
  useEffect(() => {
    const look = () => setAt(route());
    addEventListener("hashchange", look);
    ask();
    return () => removeEventListener("hashchange", look);
  }, []);
  useEffect(() => {
    if (problem && problem.status !== 401) {
      const timer = setTimeout(ask, 3000);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [problem]);
  if (problem?.status === 401 || (me?.has_tokens && state === "refused")) {
    const said = token.get() ? "This token is not known to the server." : "";
    return html`<${Login} problem=${said} done=${ask} />`;
  }
  if (!me && problem) {
    return html`<main class="login" id="main"><h1>Millrace</h1><${Trouble} problem=${problem} reload=${ask} /></main>`;
  }
  if (!me) return html`<main class="login" id="main"><h1>Millrace</h1><${Loading} /></main>`;
  return html`<${Me.Provider} value=${me}>
    <${Header} me=${me} current=${at.view} leave=${leave} />
    ${me.may.includes("read")
      ? html`<${View} view=${at.view} rest=${at.rest} />`
      : html`<main id="main" tabindex="-1" class="view"><h1>Nothing to see</h1>
          <p>The role ${me.role} sends events and labels, and asks for predictions by their ids. To see the pipeline, use the token of a viewer.</p></main>`}
  <//>`;
}

const root = document.getElementById("page");
root.textContent = "";
render(html`<${App} />`, root);
