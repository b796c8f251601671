// Numbers, times and values as people read them. Nothing is computed here that the log does not say.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const MINUTE = 60, HOUR = 3600, DAY = 86400;

export const count = (value) => (value == null ? "–" : NUMBER.format(value));

/** Four digits that matter, as `millrace models` has them. */
export function loss(value) {
  if (value == null) return "–";
  return String(Number(value.toPrecision(4)));
}

export const points = (value) => {
  const shown = (100 * value).toFixed(1);
  return (Number(shown) > 0 ? "+" : "") + shown.replace("-", "−");
};

export const interval = ([lower, upper]) => `${points(lower)} to ${points(upper)}`;

export const percent = (value, digits = 0) => `${(100 * value).toFixed(digits)} %`;

export const rate = (value) =>
  value == null ? "–" : value >= 100 ? count(value) : value >= 10 ? value.toFixed(0) : value.toFixed(1);

export function number(value) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(3) : String(Number(value.toPrecision(6)));
}

export function value(it) {
  if (it === null || it === undefined) return "none";
  if (typeof it === "number") return number(it);
  return String(it);
}

/** A time in UTC: 2025-03-05 02:04:11. */
export function time(ms, precise = true) {
  if (ms == null) return "–";
  const text = new Date(ms).toISOString();
  return text.slice(0, 10) + " " + text.slice(11, precise ? 19 : 16);
}

export const clock = (ms) => (ms == null ? "–" : new Date(ms).toISOString().slice(11, 19));

const digits = (it) => String(Number(it.toFixed(Math.abs(it) < 10 ? 1 : 0)));

export function duration(seconds) {
  if (seconds == null) return "–";
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size < 1) return `${sign}${Math.round(1000 * size)} ms`;
  if (size < MINUTE) return `${sign}${digits(size)} s`;
  if (size < HOUR) return `${sign}${digits(size / MINUTE)} min`;
  if (size < DAY) return `${sign}${digits(size / HOUR)} h`;
  return `${sign}${digits(size / DAY)} d`;
}

export function ago(ms) {
  if (ms == null) return "–";
  const seconds = (Date.now() - ms) / 1000;
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

/** A definition's reference with the first digits of its digest. */
export function reference(text) {
  if (!text) return "none";
  if (!/^[0-9a-f]{32}(\?|$)/.test(text)) return text;
  const [digest, settings] = text.split("?");
  const set = settings ? ` ? ${decodeURIComponent(settings).replaceAll("&", ", ")}` : "";
  return digest.slice(0, 12) + set;
}

export const words = (text) => text.replaceAll("_", " ");
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** An argument as a shell takes it. */
export const quoted = (text) =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) && !text.startsWith("-")
    ? text
    : `${text.startsWith("-") ? "-- " : ""}'${text.replaceAll("'", `'\\''`)}'`;
