// Prints what is wrong with AsyncAPI documents, one problem a line: `node validate.mjs FILE...`.
// AsyncAPI's parser says whether a document is one; Ajv, whether examples fit their payloads; avsc,
// whether Avro schemas are valid.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const files = process.argv.slice(2);
const require = createRequire(import.meta.url);
const { Parser } = require("@asyncapi/parser");
const { AvroSchemaParser } = require("@asyncapi/avro-schema-parser");
const Ajv = require("ajv");
const avsc = require("avsc");

const ERROR = 0;
const parser = new Parser({ schemaParsers: [AvroSchemaParser()] });

function* problems(document) {
  for (const [topic, channel] of Object.entries(document.channels)) {
    for (const [name, message] of Object.entries(channel.messages)) {
      const where = `${topic}/${name}`;
      if (message.payload.schema) {
        try {
          avsc.Type.forSchema(message.payload.schema);
        } catch (error) {
          yield `${where}: ${error.message}`;
        }
        continue;
      }
      const ajv = new Ajv({ strict: false, validateFormats: false, logger: false });
      const fits = ajv.compile({ ...message.payload, components: document.components });
      for (const example of message.examples ?? []) {
        if (!fits(example.payload)) yield `${where}: ${ajv.errorsText(fits.errors)}`;
      }
    }
  }
}

for (const file of files) {
  const text = readFileSync(file, "utf8");
  const { diagnostics } = await parser.parse(text);
  for (const { severity, path, message } of diagnostics) {
    if (severity === ERROR) console.log(`${file}: ${path.join("/")}: ${message}`);
  }
  for (const problem of problems(JSON.parse(text))) console.log(`${file}: ${problem}`);
}
