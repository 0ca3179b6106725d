/* Steps of a policy in WebAssembly, timed by the process that takes them:

     node timed.mjs MODULE.mjs UNCOUNTED

   Each byte on standard input asks for one step after so many uncounted ones; the answer is a line
   with its nanoseconds. */

import { readSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [module, uncounted] = process.argv.slice(2);
const { load } = await import(pathToFileURL(resolve(module)).href);
const policy = await load();
const observation = Array.from({ length: policy.contract.state.shape[0] }, (_, i) => Math.sin(i));
policy.reset(1000);
/* Until V8 has optimised the code, and the window is full. */
for (let i = 0; i < 1000 + policy.contract.context_length; i++) policy.act(observation, 0);
const asked = Buffer.alloc(1);
while (readSync(0, asked) > 0) {
  for (let i = 0; i < uncounted; i++) policy.act(observation, 0);
  const begin = process.hrtime.bigint();
  policy.act(observation, 0);
  const end = process.hrtime.bigint();
  writeSync(1, `${end - begin}\n`);
}
