// Where agents and topics are drawn: in layers, each node one behind those that it reads.

const TOPIC = { width: 100, height: 44 };
const SOURCE_WIDTH = 150; // others give longer names
const AGENT = { width: 160, height: 44 };
const GAP = { along: 34, across: 14 };
const SIDE = new Set(["alerts", "audit", "rejects"]); // which any agent writes
const MARGIN = 6;
const NARROW_WIDTH = 350;
const BACKWARD = new Set(["commands", "control"]); // what is written for who comes earlier

/** Nodes with places, edges with paths, and the size of all: from left to right, or downwards. */
export function laidOut(of, isDownward) {
  const topics = new Map(of.topics.map((each) => [each.name, each]));
  const used = new Set(of.agents.flatMap((each) => [...each.reads, ...each.writes]));
  const nodes = new Map();
  const add = (kind, name, it, size) => nodes.set(`${kind} ${name}`, { key: `${kind} ${name}`, kind, label: name.replace(/^@/, ""), of: it, ...size, layer: 0 });
  for (const [name, it] of topics) if (used.has(name)) add("topic", name, it, it.is_source ? { ...TOPIC, width: SOURCE_WIDTH } : TOPIC);
  for (const each of of.agents) add("agent", each.name, each, AGENT);
  const links = [];
  const link = (from, to, isQuiet) => nodes.has(from) && nodes.has(to) && links.push({ from, to, isQuiet });
  for (const each of of.agents) {
    for (const name of each.reads) link(`topic ${name}`, `agent ${each.name}`, false);
    for (const name of each.writes) {
      if (!SIDE.has(name)) link(`agent ${each.name}`, `topic ${name}`, BACKWARD.has(name) && each.name !== "control");
    }
  }
  const isForward = ({ from, to }) => !(from.startsWith("agent") && BACKWARD.has(to.slice(6)) && !from.endsWith(" control"));
  for (let round = 0; round < nodes.size; round++) {
    for (const each of links.filter(isForward)) {
      const [from, to] = [nodes.get(each.from), nodes.get(each.to)];
      to.layer = Math.max(to.layer, Math.min(from.layer + 1, 20));
    }
  }
  const deepest = Math.max(...[...nodes.values()].map((each) => each.layer));
  for (const each of nodes.values()) if (SIDE.has(each.label) && each.kind === "topic") each.layer = deepest + 1;
  const layers = [];
  for (const each of nodes.values()) (layers[each.layer] ||= []).push(each);
  const filled = layers.filter(Boolean);
  ordered(filled, links, nodes);
  return isDownward ? downward(filled, links, nodes) : rightward(filled, links, nodes);
}

/** Bring nodes that are linked beside each other: by the mean place of those before. */
function ordered(layers, links, nodes) {
  for (const layer of layers.slice(1)) {
    const place = (each) => {
      const before = links.filter((one) => one.to === each.key).map((one) => nodes.get(one.from).rank ?? 0);
      return before.length ? before.reduce((a, b) => a + b, 0) / before.length : 0;
    };
    layer.sort((a, b) => place(a) - place(b));
    layer.forEach((each, at) => (each.rank = at - (layer.length - 1) / 2));
  }
}

function rightward(layers, links, nodes) {
  const tall = (layer) => layer.reduce((sum, each) => sum + each.height + GAP.across, -GAP.across);
  const height = Math.max(...layers.map(tall)) + 2 * MARGIN + 40;
  let x = MARGIN;
  for (const layer of layers) {
    const width = Math.max(...layer.map((each) => each.width));
    let y = (height - 40 - tall(layer)) / 2;
    for (const each of layer) {
      Object.assign(each, { x: x + (width - each.width) / 2, y });
      y += each.height + GAP.across;
    }
    x += width + GAP.along;
  }
  const edges = links.map((each) => {
    const [a, b] = [nodes.get(each.from), nodes.get(each.to)];
    const [x1, y1, x2, y2] = [a.x + a.width, a.y + a.height / 2, b.x, b.y + b.height / 2];
    if (x2 < x1) { // back to an earlier one: below all others
      const under = height - 2;
      const path = `M${a.x + a.width / 2} ${a.y + a.height}C${a.x + a.width / 2} ${under + 20} ${b.x + b.width / 2} ${under + 20} ${b.x + b.width / 2} ${b.y + b.height}`;
      return { ...each, key: `${each.from} ${each.to}`, path };
    }
    const bend = Math.max((x2 - x1) / 2, 16);
    return { ...each, key: `${each.from} ${each.to}`, path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` };
  });
  return { nodes: [...nodes.values()], edges, width: x - GAP.along + MARGIN, height };
}

function downward(layers, links, nodes) {
  const wide = NARROW_WIDTH;
  let y = MARGIN;
  for (const layer of layers) {
    const most = layer[0].kind === "agent" && layer.every((each) => each.kind === "agent") ? 2 : 3;
    for (let at = 0; at < layer.length; at += most) {
      const row = layer.slice(at, at + most);
      const gap = 5;
      const total = row.reduce((sum, each) => sum + each.width, 0) + gap * (row.length - 1);
      const scale = Math.min(1, (wide - 2 * MARGIN) / total);
      let x = (wide - total * scale) / 2;
      for (const each of row) {
        each.width *= scale;
        Object.assign(each, { x, y });
        x += each.width + gap * scale;
      }
      y += row[0].height + 8;
    }
    y += 24;
  }
  const edges = links.map((each) => {
    const [a, b] = [nodes.get(each.from), nodes.get(each.to)];
    const [x1, y1, x2, y2] = [a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y];
    const bend = Math.max((y2 - y1) / 2, 14);
    if (y2 < y1) {
      const side = wide - 2;
      return { ...each, key: `${each.from} ${each.to}`, path: `M${a.x + a.width} ${a.y + a.height / 2}C${side + 10} ${a.y} ${side + 10} ${b.y + b.height} ${b.x + b.width} ${b.y + b.height / 2}` };
    }
    return { ...each, key: `${each.from} ${each.to}`, path: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` };
  });
  return { nodes: [...nodes.values()], edges, width: wide, height: y - 24 };
}
