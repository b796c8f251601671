// Read topics with stock kafkajs and avsc, and print a JSON object for each record.
//
// Usage: node read.mjs BOOTSTRAP REGISTRY TOPIC=COUNT...   (REGISTRY is `-` where values are JSON)

import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import { Kafka, logLevel } from "kafkajs";

const SECONDS = 60;

const [bootstrap, host, ...asked] = process.argv.slice(2);
const missing = new Map(
  asked.map((each) => each.split("=")).map(([topic, count]) => [topic, Number(count)]),
);
const registry = host === "-" ? null : new SchemaRegistry({ host });
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: "node-client", readUncommitted: false });

function asText(_name, value) {
  const isBuffer = value?.type === "Buffer";
  return isBuffer ? Buffer.from(value.data).toString("base64") : value;
}

function finish(code, reason = "") {
  if (reason) console.error(reason);
  process.exitCode = code; // and not exit(), which would lose what is not printed yet
  clearTimeout(timer);
  consumer.disconnect().catch(() => {});
}

const timer = setTimeout(
  () => finish(1, `timed out; still missing ${JSON.stringify([...missing])}`),
  SECONDS * 1000,
);
consumer.on(consumer.events.CRASH, ({ payload }) => finish(1, String(payload.error)));

await consumer.connect();
await consumer.subscribe({ topics: [...missing.keys()], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ topic, message }) => {
    const data = message.value;
    const value = registry ? await registry.decode(data) : JSON.parse(data.toString());
    console.log(JSON.stringify({ topic, value }, asText));
    missing.set(topic, missing.get(topic) - 1);
    if ([...missing.values()].every((count) => count <= 0)) finish(0);
  },
});
