// Says where axe-core is: the checker of accessibility that the page is tested with.

import { fileURLToPath } from "node:url";

console.log(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")));
