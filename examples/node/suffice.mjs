// What a service in another language needs of Suffice, in Node without packages: where a target belongs, what a plan
// decides, and the word that says who may be adaptive now. Written from docs/other-languages.md.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { uptime } from "node:os";
import { createInterface } from "node:readline";

// MurmurHash3, 32 bits, seed 0.
function murmur3(bytes) {
  const scrambled = (k) => {
    k = Math.imul(k, 0xcc9e2d51);
    return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  };
  const whole = bytes.length & ~3;
  let hash = 0;
  for (let at = 0; at < whole; at += 4) {
    hash ^= scrambled(bytes.readInt32LE(at));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let at = bytes.length - 1; at >= whole; at--) rest = (rest << 8) | bytes[at];
  hash ^= scrambled(rest) ^ bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

// The bucket of a target, 0 to 99: adaptive at weight w means a bucket below w.
export function bucket(salt, target) {
  const text = Buffer.from(`${salt}/${target}`, "utf8");
  const length = text.length;
  const head = length < 24 ? [0x60 + length] : length < 256 ? [0x78, length] : [0x79, length >> 8, length & 255];
  return Number((BigInt(murmur3(Buffer.concat([Buffer.from(head), text]))) * 100n) >> 32n);
}

const MASK = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
const MIXED = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

// BLAKE2b with a key, as far as a digest of 8 bytes needs it (Node's own takes no key).
function blake2b8(key, message) {
  const data = Buffer.concat([key, Buffer.alloc(128 - key.length), message]);
  const state = [...IV];
  state[0] ^= BigInt(0x01010000 ^ (key.length << 8) ^ 8);
  const rotated = (x, by) => (x >> by) | ((x << (64n - by)) & MASK);
  for (let at = 0; at < data.length; at += 128) {
    const end = Math.min(at + 128, data.length);
    const block = Buffer.concat([data.subarray(at, end), Buffer.alloc(at + 128 - end)]);
    const words = Array.from({ length: 16 }, (_, i) => block.readBigUInt64LE(8 * i));
    const v = [...state, ...IV];
    v[12] ^= BigInt(end);
    if (end === data.length) v[14] ^= MASK;
    for (let round = 0; round < 12; round++) {
      MIXED.forEach(([a, b, c, d], i) => {
        const [x, y] = [words[SIGMA[round % 10][2 * i]], words[SIGMA[round % 10][2 * i + 1]]];
        v[a] = (v[a] + v[b] + x) & MASK;
        v[d] = rotated(v[d] ^ v[a], 32n);
        v[c] = (v[c] + v[d]) & MASK;
        v[b] = rotated(v[b] ^ v[c], 24n);
        v[a] = (v[a] + v[b] + y) & MASK;
        v[d] = rotated(v[d] ^ v[a], 16n);
        v[c] = (v[c] + v[d]) & MASK;
        v[b] = rotated(v[b] ^ v[c], 63n);
      });
    }
    state.forEach((_, i) => (state[i] ^= v[i] ^ v[i + 8]));
  }
  const digest = Buffer.alloc(8);
  digest.writeBigUInt64LE(state[0]);
  return digest;
}

// Whether the decisions about a target are audited, for about `fraction` of all targets.
export function audited(salt, target, fraction) {
  const key = createHash("blake2b512").update(salt, "utf8").digest();
  return blake2b8(key, Buffer.from(target, "utf8")).readBigUInt64BE() < fraction * 2 ** 64;
}

// Seconds since the store was asked for a word.
export const age = (word) => uptime() - word.asked_boot_s;

// Feeds a plan of rule `proportion` draw by draw, until it stops or N is reached. `draw` gives 1 or 0.
export async function decide(plan, draws, draw, toTheEnd) {
  const boundaries = new Map(toTheEnd ? [] : plan.boundaries.map((each) => [each.n, each]));
  let ones = 0;
  for (let n = 1; n <= plan.n; n++) {
    if (draws.length < n) draws.push(await draw());
    ones += draws[n - 1];
    const at = boundaries.get(n);
    if (at && at.accept_at !== null && ones >= at.accept_at) return { decision: "accepted", n };
    if (at && at.reject_at !== null && ones <= at.reject_at) return { decision: "rejected", n };
  }
  return { decision: ones / plan.n >= plan.parameters.at_least ? "accepted" : "rejected", n: plan.n };
}

// Follows the word. `now()` is the newest one while its lease lasts, null before and after.
export function followed(options) {
  const child = spawn("suffice", ["rollout", "word", "--follow", "--json", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let word = null;
  const lines = createInterface({ input: child.stdout });
  const first = new Promise((resolve) => lines.once("line", resolve).once("close", resolve));
  lines.on("line", (line) => (word = JSON.parse(line)));
  const now = () => (word && age(word) >= 0 && age(word) < word.remaining_s ? word : null);
  return { first, now, close: () => child.kill() };
}

// Whether a word, which must be fresh, puts a target on the adaptive arm of this plan.
export function permits(word, plan, target, region) {
  const exposure = word && word.plan_id === plan.id ? word.exposure : null;
  if (!exposure || target === "") return false;
  const there = exposure.regions.length === 0 || exposure.regions.includes(region);
  return there && bucket(exposure.salt, target) < exposure.weight;
}
