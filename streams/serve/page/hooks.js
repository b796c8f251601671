// What components share: loading, following, knowing who asks.

import { createContext, useContext, useEffect, useReducer, useRef, useState } from "./vendor/htm-preact.module.js";
import { get, live } from "./api.js";

const RETRY_MS = 3000;

/** Who asks: the answer of /v1/me. */
export const Me = createContext(null);
export const useMe = () => useContext(Me);

/** Draw again whenever the stream tells something. */
export function useLive() {
  const [, again] = useReducer((n) => n + 1, 0);
  useEffect(() => live.listen(again), []);
  return live;
}

/**
 * What a path answers: asked for at first, again when there are more records of some topics, though
 * not more often than every `least` seconds, and every so many seconds where that is said. What is
 * known stays when the server does not answer.
 */
export function useLoaded(path, { topics = [], seconds = 0, least = 1 } = {}) {
  const [state, setState] = useState({ data: null, problem: null, path: null });
  const reload = useRef(() => {});
  const wanted = useRef(topics);
  wanted.current = topics;
  useEffect(() => {
    if (!path) return undefined;
    const controller = new AbortController();
    let timer = 0, isAsking = false, isDue = false, isRefused = false, askedAt = 0, seen = "";
    const mark = () => wanted.current.map((each) => live.counts[each] || 0).join();
    const plan = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(ask, ms);
    };
    const ask = async () => {
      if (isAsking || document.hidden) {
        isDue = true;
        return;
      }
      isAsking = true;
      isDue = isRefused = false;
      askedAt = Date.now();
      seen = mark();
      let isWell = true;
      try {
        const data = await get(path, controller.signal);
        setState({ data, problem: null, path });
      } catch (problem) {
        if (problem.name === "AbortError") return;
        isWell = false;
        isRefused = problem.status >= 400 && problem.status < 500;
        setState((before) => ({ data: before.path === path ? before.data : null, problem, path }));
        if (problem.status === 0 || problem.status >= 500 || problem.status === 429) plan(RETRY_MS);
      }
      isAsking = false;
      if (isDue) plan(1000 * least);
      else if (seconds && isWell) plan(1000 * seconds);
    };
    const look = () => {
      if (wanted.current.length && !isRefused && live.state === "live" && mark() !== seen) {
        seen = mark();
        plan(Math.max(askedAt + 1000 * least - Date.now(), 0));
      }
    };
    const show = () => !document.hidden && isDue && ask();
    reload.current = ask;
    ask();
    const end = live.listen(look);
    document.addEventListener("visibilitychange", show);
    return () => {
      controller.abort();
      clearTimeout(timer);
      end();
      document.removeEventListener("visibilitychange", show);
    };
  }, [path]);
  const isCurrent = state.path === path;
  return {
    data: isCurrent ? state.data : null,
    problem: isCurrent ? state.problem : null,
    isLoading: Boolean(path) && (!isCurrent || (!state.data && !state.problem)),
    reload: () => reload.current(),
  };
}

/** Whether a media query holds. */
export function useMedia(query) {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const look = () => setHolds(media.matches);
    media.addEventListener("change", look);
    return () => media.removeEventListener("change", look);
  }, [query]);
  return holds;
}
