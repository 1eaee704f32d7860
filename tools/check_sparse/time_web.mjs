// Times .tflite files in LiteRT's web build under node: [[name, sparse, dense], ...] on
// standard input, HOME/node_modules as the first argument; one line of JSON a pair.
//
// The build is made for browsers: it asks for `self`, loads its glue by `importScripts` and
// its module by `fetch`; node gets the first two here, and reads the third from the disk.
// Sparse and dense take turns; the best of the rounds counts.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import vm from "node:vm";

const ROUNDS = 25;
const CALLS = 20;
const packageFolder = path.resolve(process.argv[2], "@litertjs/core");
const wasmFolder = path.join(packageFolder, "wasm");

globalThis.require = createRequire(import.meta.url);
globalThis.__dirname = wasmFolder;
globalThis.__filename = path.join(wasmFolder, "index.js");
globalThis.self = globalThis;
globalThis.navigator ??= {};
globalThis.importScripts = (url) =>
  vm.runInThisContext(fs.readFileSync(url, "utf8"), { filename: url });
globalThis.Module = { locateFile: (name) => path.join(wasmFolder, name) };

const say = console.log;
const errors = [];
console.log = console.info = console.warn = () => {};
console.error = (...what) => errors.push(what.join(" "));

const { loadLiteRt, loadAndCompile, Tensor } = await import(
  path.join(packageFolder, "dist/index.js")
);
await loadLiteRt(`${wasmFolder}/`);

async function open(file) {
  const model = await loadAndCompile(new Uint8Array(fs.readFileSync(file)), {
    accelerator: "wasm",
  });
  const inputs = model.getInputDetails().map(({ shape }) => {
    const values = new Float32Array(shape.reduce((size, one) => size * one, 1));
    return new Tensor(
      values.map((_, place) => Math.sin(place)),
      shape,
    );
  });
  return { model, inputs };
}

async function answered({ model, inputs }) {
  const outputs = await model.run(inputs);
  const answer = Array.from(await outputs[0].data());
  for (const output of outputs) output.delete();
  return answer;
}

// Without reading the answer, which takes as long as a small network.
async function call({ model, inputs }) {
  for (const output of await model.run(inputs)) output.delete();
}

async function timed(pair) {
  const best = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    for (const turn of [0, 1]) {
      const begun = performance.now();
      for (let i = 0; i < CALLS; i++) await call(pair[turn]);
      best[turn] = Math.min(best[turn], (performance.now() - begun) / CALLS);
    }
  }
  return best;
}

for (const [name, sparse, dense] of JSON.parse(fs.readFileSync(0, "utf8"))) {
  errors.length = 0;
  try {
    const pair = [await open(sparse), await open(dense)];
    const [got, want] = [await answered(pair[0]), await answered(pair[1])];
    const refused = errors.find((line) => line.includes("failed"));
    const error = Math.max(...got.map((value, i) => Math.abs(value - want[i])));
    const scale = Math.max(...want.map(Math.abs));
    const [sparse_ms, dense_ms] = await timed(pair);
    say(JSON.stringify({ name, sparse_ms, dense_ms, error, scale, refused: refused ?? "" }));
    for (const { model } of pair) model.delete();
  } catch (error) {
    say(JSON.stringify({ name, refused: String(error) }));
  }
}
