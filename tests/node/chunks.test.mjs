import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkCache, ConnectionLost, RequestRefused } from "@shard/client";
import { FakeTime, settled } from "./fakes.mjs";

function setUp({ connected = true } = {}) {
  const time = new FakeTime();
  const asked = [];
  const compared = [];
  const line = { up: connected };
  const cache = new ChunkCache((want, have) => {
    if (!line.up) return undefined;
    compared.push(have);
    return asked.push(want);
  }, time);
  if (connected) cache.connected("h1");
  return { time, asked, compared, line, cache };
}

const chunk = (cx, cz) => ({
  cx,
  cz,
  seed: 0,
  biome: "b",
  props: [],
  roads: [],
  ground: [],
  kiosks: [],
  gates: [],
  hash: `${cx}/${cz}`,
});

test("a loop of loads makes messages of at most 32, one under way at a time", async () => {
  const { asked, cache } = setUp();
  const all = Array.from({ length: 70 }, (_, cx) => cache.load(cx, 0));
  await settled();
  assert.deepEqual(
    asked.map((want) => want.length),
    [32],
  );
  for (let cx = 0; cx < 31; cx++) cache.received(chunk(cx, 0));
  await settled();
  assert.equal(asked.length, 1);
  cache.received(chunk(31, 0));
  await settled();
  for (let cx = 32; cx < 64; cx++) cache.received(chunk(cx, 0));
  await settled();
  for (let cx = 64; cx < 70; cx++) cache.received(chunk(cx, 0));
  await settled();
  assert.deepEqual(
    asked.map((want) => want.length),
    [32, 32, 6],
  );
  assert.deepEqual(asked[2][0], [64, 0]);
  assert.equal((await Promise.all(all)).length, 70);
});

test("what is here or under way is not asked for again", async () => {
  const { asked, cache } = setUp();
  const [first, second] = [cache.load(1, 2), cache.load(1, 2)];
  assert.equal(first, second);
  await settled();
  cache.received(chunk(1, 2));
  assert.equal((await cache.load(1, 2)).hash, "1/2");
  assert.equal(cache.get(1, 2).hash, "1/2");
  assert.deepEqual(asked, [[[1, 2]]]);
});

test("the cache outlives a reconnect, but not another world", async () => {
  const { asked, cache } = setUp();
  cache.load(1, 2).catch(() => undefined);
  await settled();
  cache.received(chunk(1, 2));
  cache.disconnected();
  cache.connected("h1");
  assert.ok(cache.get(1, 2));
  cache.connected("h2");
  assert.equal(cache.get(1, 2), undefined);
  assert.equal(asked.length, 1);
});

test("in another world what is here is compared, and shown only when it is the same", async () => {
  const { asked, compared, cache } = setUp();
  for (const cx of [1, 2]) cache.load(cx, 0);
  await settled();
  for (const cx of [1, 2]) cache.received(chunk(cx, 0));
  cache.disconnected();
  cache.connected("h2");
  const all = Promise.all([1, 2, 3].map((cx) => cache.load(cx, 0)));
  await settled();
  assert.deepEqual(asked[1], [[3, 0]]);
  assert.deepEqual(compared, [
    [],
    [
      [1, 0, "1/0"],
      [2, 0, "2/0"],
    ],
  ]);
  cache.same([[1, 0]]);
  cache.received({ ...chunk(2, 0), hash: "new" });
  cache.received(chunk(3, 0));
  assert.deepEqual((await all).map(({ hash }) => hash), ["1/0", "new", "3/0"]);
  assert.equal(cache.get(1, 0).hash, "1/0");
});

test("a chunk that the shard has just sent and that is lost here is asked for again a little later", async () => {
  const { time, asked, cache } = setUp();
  const wanted = cache.load(1, 0);
  const other = cache.load(2, 0);
  await settled();
  cache.same([[1, 0]]);
  cache.received(chunk(2, 0));
  await other;
  await time.advance(5_499);
  assert.equal(asked.length, 1);
  await time.advance(1);
  assert.deepEqual(asked[1], [[1, 0]]);
  cache.received(chunk(1, 0));
  await wanted;
});

test("closing stops what would be asked for again", async () => {
  const { time, asked, cache } = setUp();
  const outcome = assert.rejects(cache.load(1, 0), ConnectionLost);
  await settled();
  cache.same([[1, 0]]);
  cache.closed();
  await outcome;
  await time.advance(6_000);
  assert.equal(asked.length, 1);
});

test("what was under way when the line broke is asked for on the next connection", async () => {
  const { asked, line, cache } = setUp();
  const wanted = cache.load(1, 2);
  await settled();
  line.up = false;
  cache.disconnected();
  await settled();
  line.up = true;
  cache.connected("h1");
  await settled();
  assert.deepEqual(asked, [[[1, 2]], [[1, 2]]]);
  cache.received(chunk(1, 2));
  await wanted;
});

test("a refusal rejects what is under way, and the rest goes on", async () => {
  const { asked, cache } = setUp();
  const refused = Array.from({ length: 32 }, (_, cx) => cache.load(cx, 0));
  const next = cache.load(99, 0);
  await settled();
  cache.received(chunk(0, 0));
  cache.refused(asked.length, { code: "not_allowed", message: "off the map" });
  const results = await Promise.allSettled(refused);
  assert.deepEqual(results.map(({ status }) => status).filter((status) => status === "fulfilled").length, 1);
  assert.ok(results[1].reason instanceof RequestRefused);
  assert.equal(results[1].reason.code, "not_allowed");
  await settled();
  assert.deepEqual(asked[1], [[99, 0]]);
  cache.received(chunk(99, 0));
  await next;
});

test("rate_limited is no refusal: the same again, later", async () => {
  const { time, asked, cache } = setUp();
  const wanted = cache.load(1, 2);
  await settled();
  cache.refused(1, { code: "rate_limited", message: "slowly", retryAfterMs: 700 });
  await time.advance(699);
  assert.equal(asked.length, 1);
  await time.advance(1);
  assert.deepEqual(asked[1], [[1, 2]]);
  cache.received(chunk(1, 2));
  await wanted;
});

test("an error that answers something else is nothing to it; silence ends after 10 s", async () => {
  const { time, cache } = setUp();
  const outcome = assert.rejects(cache.load(1, 2), /no answer/);
  await settled();
  cache.refused(999, { code: "internal", message: "" });
  await time.advance(10_000);
  await outcome;
});

test("closing for good rejects what waits", async () => {
  const { cache } = setUp({ connected: false });
  const outcome = assert.rejects(cache.load(1, 2), ConnectionLost);
  cache.closed();
  await outcome;
});
