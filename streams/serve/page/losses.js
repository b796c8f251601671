// What the losses of blocks are called, and how they are shown.

import * as f from "./format.js";

const IS_SHARE = new Set(["zero_one"]);

export const lossTitle = (data) => {
  const name = IS_SHARE.has(data.metric) ? "Share of errors (zero_one)" : `Mean loss (${data.metric || "none yet"})`;
  const per = data.blocks_per_point > 1 ? `, by ${f.count(data.blocks_per_point)} blocks of a hundred events` : ", by blocks of a hundred events";
  return `${name}${per}; less is better`;
};

/** Model to its place among all, baselines last: by it, a model has the same colour everywhere. */
export function places(data) {
  const isQuiet = (each) => data.baselines.includes(each);
  const names = Object.keys(data.losses).sort();
  const sorted = [...names.filter((each) => !isQuiet(each)), ...names.filter(isQuiet)];
  return Object.fromEntries(sorted.map((each, at) => [each, at]));
}

export const lossText = (metric) => (IS_SHARE.has(metric) ? (it) => f.percent(it, it && it < 0.1 ? 1 : 0) : f.loss);
