/* Replays a golden episode (docs/golden.md) on a policy in WebAssembly:

     node replay.mjs MODULE.mjs EPISODE.golden.json

   It prints one line of JSON: { acts, error, mismatch }, where error is the largest absolute error,
   and mismatch says what differs first; null if nothing does. */

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [module, episode] = process.argv.slice(2);
const { load } = await import(pathToFileURL(resolve(module)).href);
const golden = JSON.parse(await readFile(episode, "utf8"));
const discrete = golden.model.action_kind === "discrete";
const first = await load();
const policies = Array.from({ length: golden.options.batch_size }, (_, row) =>
  row === 0 ? first : first.clone(),
);
let acts = 0;
let error = 0;
let mismatch = null;

function compare(what, seen, expected, tolerance) {
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(seen[i] - expected[i]);
    if (tolerance > 0) error = Math.max(error, distance);
    if (!(distance <= tolerance)) {
      mismatch ??= `${what} ${JSON.stringify([...seen])}, expected ${JSON.stringify(expected)}`;
    }
  }
}

function act(where, due, row) {
  const policy = policies[row];
  const expected = due.expected;
  const applied = due.applied_actions?.[row];
  const options = applied === undefined ? {} : { applied: discrete ? applied[0] : applied };
  const action = policy.act(due.observations[row], due.rewards?.[row] ?? 0, options);
  acts++;
  compare(`${where}: window`, policy.window, expected.windows[row], 0);
  compare(`${where}: timestep`, [policy.timestep], [expected.timesteps[row]], 0);
  compare(`${where}: return-to-go`, [policy.returnToGo], [expected.returns_to_go[row]], 0);
  if (discrete) {
    compare(`${where}: action`, [action], expected.actions[row], 0);
    compare(`${where}: logits`, policy.logits, expected.logits[row], golden.tolerance);
  } else {
    compare(`${where}: action`, action, expected.actions[row], golden.tolerance);
  }
}

for (const [index, event] of golden.events.entries()) {
  event.reset?.rows.forEach((row, i) => policies[row].reset(event.reset.target_returns[i]));
  for (const row of event.act ? policies.keys() : []) {
    try {
      act(`event ${index}, row ${row}`, event.act, row);
    } catch (fault) {
      mismatch ??= `event ${index}, row ${row}: ${fault.message}`;
    }
  }
}
console.log(JSON.stringify({ acts, error, mismatch }));
