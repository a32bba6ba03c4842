/** Run by test_terrain_node.py, which compiles the twin and hands over the shard's own vectors. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const { TERRAIN_JS: terrainJs, PROPS_JS: propsJs, CODEC_JS: codecJs, TERRAIN_VECTORS: vectorsFile } = process.env;
const skip = vectorsFile === undefined ? "needs vectors from test_terrain_node.py" : false;
const { ChunkGround, chunkHash } = skip ? {} : await import(pathToFileURL(terrainJs));
const { PROP_SHAPES } = skip ? {} : await import(pathToFileURL(propsJs));
const { decodeServer } = skip ? {} : await import(pathToFileURL(codecJs));
/** `{ frames: [text, ...], edge_frames, golden: [[hash, height, ...], ...], points: [[[x, z], ...], ...], shapes }` */
const vectors = skip ? undefined : JSON.parse(readFileSync(vectorsFile, "utf8"));
/** What a client has of a chunk: the payload of the `chunk` message, and nothing else. */
const received = (frames) => frames.map((text) => decodeServer(text).payload);
if (!skip) [vectors.chunks, vectors.edges] = [received(vectors.frames), received(vectors.edge_frames)];

test("10,000 golden heights", { skip }, () => {
  let compared = 0;
  vectors.chunks.forEach((chunk, number) => {
    const ground = new ChunkGround(chunk);
    vectors.points[number].forEach(([x, z], point) => {
      assert.equal(ground.heightCm(x, z), vectors.golden[number][point + 1], `chunk ${chunk.cx}, ${chunk.cz} at ${x}, ${z}`);
      compared += 1;
    });
  });
  assert.equal(compared, 10_000);
});

test("1,000 golden hashes", { skip }, () => {
  vectors.chunks.forEach((chunk, number) => assert.equal(chunkHash(chunk), vectors.golden[number][0]));
  assert.equal(vectors.chunks.length, 1_000);
});

test("a client recomputes the hash that came with a chunk", { skip }, () => {
  for (const chunk of [...vectors.chunks, ...vectors.edges]) assert.equal(chunkHash(chunk), chunk.hash);
});

test("a hash covers every field", { skip }, () => {
  const some = (key) => vectors.chunks.find((chunk) => chunk[key].length > 0)[key].slice(0, 2);
  const busy = { ...vectors.chunks[0], props: some("props"), roads: some("roads"), kiosks: some("kiosks"), gates: some("gates") };
  const hashes = new Set([chunkHash(busy)]);
  const leaf = (value) => (typeof value === "string" ? `${value}x` : value + 1);
  const walk = (value, path) => {
    if (typeof value === "object") return Object.keys(value).forEach((key) => walk(value[key], [...path, key]));
    const edited = structuredClone(busy);
    const holder = path.slice(0, -1).reduce((at, key) => at[key], edited);
    holder[path.at(-1)] = leaf(value);
    hashes.add(chunkHash(edited));
    edits += 1;
  };
  let edits = 0;
  const { hash: _, ...hashed } = busy;
  walk(hashed, []);
  assert.ok(edits > 50);
  assert.equal(hashes.size, edits + 1);
});

test("neighbours agree on the edge between them", { skip }, () => {
  const byIndex = new Map(vectors.edges.map((chunk) => [`${chunk.cx},${chunk.cz}`, new ChunkGround(chunk)]));
  let compared = 0;
  for (const { cx, cz } of vectors.edges) {
    const [here, east, south] = [`${cx},${cz}`, `${cx + 1},${cz}`, `${cx},${cz + 1}`].map((key) => byIndex.get(key));
    for (let at = 0; at <= 6400; at += 50) {
      const [right, low] = [(cx + 1) * 6400, (cz + 1) * 6400];
      if (east) assert.equal(here.heightCm(right, cz * 6400 + at), east.heightCm(right, cz * 6400 + at));
      if (south) assert.equal(here.heightCm(cx * 6400 + at, low), south.heightCm(cx * 6400 + at, low));
      compared += (east ? 1 : 0) + (south ? 1 : 0);
    }
  }
  assert.ok(compared > 1_000);
});

test("metres are taken to the nearest centimetre; a point off the chunk is refused", { skip }, () => {
  const [chunk] = vectors.chunks;
  const ground = new ChunkGround(chunk);
  const [x, z] = [chunk.cx * 64 + 10.254, chunk.cz * 64 + 20.256];
  assert.equal(ground.height(x, z), ground.heightCm(chunk.cx * 6400 + 1025, chunk.cz * 6400 + 2026) / 100);
  assert.throws(() => ground.heightCm(chunk.cx * 6400 - 1, chunk.cz * 6400), RangeError);
  assert.throws(() => ground.heightCm(Number.NaN, chunk.cz * 6400), RangeError);
  assert.throws(() => new ChunkGround({ ...chunk, ground: [128, 100] }), RangeError);
});

test("props are as big and as solid as the shard takes them for", { skip }, () => {
  assert.deepEqual(PROP_SHAPES, vectors.shapes);
});
