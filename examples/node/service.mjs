// A service in Node 20 without packages: it follows the word, decides by a plan file, and writes its decisions for
// `suffice ingest`. Run: node examples/node/service.mjs PLAN ROWS FIRST COUNT [options of suffice rollout word]

import { appendFileSync, readFileSync } from "node:fs";

import { age, audited, decide, followed, permits } from "./suffice.mjs";

const [planFile, rowsFile, first, count, ...options] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planFile, "utf8"));
const words = followed(options);

// Yours: one trial of a case. Here pumps with an even number nearly always pass, the others hardly ever.
const trial = async (number) => Number(Math.random() < (number % 2 ? 0.1 : 0.99));

async function served(number) {
  const [key, target, region] = [`pump-${number}/1`, `pump-${number}`, "eu"];
  const word = words.now();
  const draws = [];
  const draw = () => trial(number);
  const checked = word !== null && audited(word.audit_salt, target, word.audit_fraction);
  let [arm, why, verdict] = ["fixed", "EXPOSURE", null];
  if (permits(word, plan, target, region)) {
    verdict = await decide(plan, draws, draw, false);
    if (checked) await decide(plan, draws, draw, true);
    // Asked again before anybody acts on it: the word may have been taken back meanwhile.
    [arm, why] = permits(words.now(), plan, target, region) ? ["adaptive", null] : ["fixed", "FENCED"];
  }
  if (arm === "fixed") verdict = await decide(plan, draws, draw, true);
  if (word !== null) {
    const { rollout, stage, epoch, plan_id, process } = word;
    const at = word.asked_at + age(word);
    const row = { key, target, region, arm, at, rollout, stage, epoch, plan_id, process, fixed_n: plan.n };
    appendFileSync(rowsFile, JSON.stringify({ ...row, why_fixed: why, draws, decision: verdict.decision }) + "\n");
  }
  return { arm, checked };
}

await words.first;
const seen = { adaptive: 0, fixed: 0, audited: 0 };
for (let number = Number(first); number < Number(first) + Number(count); number++) {
  const { arm, checked } = await served(number);
  seen[arm] += 1;
  seen.audited += Number(checked);
  await new Promise(setImmediate); // Lines of the word come in between.
}
console.log(JSON.stringify(seen));
words.close();
