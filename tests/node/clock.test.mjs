import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerClock } from "@shard/client";

test("the shortest round trip is believed, however many long ones follow", () => {
  const clock = new ServerClock();
  clock.add(0, 400, 1_000_000 + 390); // the way back took 10 ms of 400: off by 190 ms
  clock.add(1_000, 1_020, 1_000_000 + 1_010); // 20 ms, even
  for (let at = 2_000; at < 12_000; at += 1_000) clock.add(at, at + 300, 1_000_000 + at + 5);
  assert.equal(clock.rttMs, 20);
  assert.equal(clock.offsetMs, 1_000_000);
  assert.equal(clock.at(50_000), 1_050_000);
});

test("a round trip that is long past is forgotten, so that drift is followed", () => {
  const clock = new ServerClock();
  clock.add(0, 10, 1_000_005);
  for (let at = 1; at <= 18; at++) clock.add(at * 5_000, at * 5_000 + 20, 1_000_000 + at * 5_000 + 10 + 3);
  assert.equal(clock.offsetMs, 1_000_003);
});

test("server time never steps back, and is NaN before the first round trip", () => {
  const clock = new ServerClock();
  assert.ok(Number.isNaN(clock.at(0)));
  clock.add(0, 100, 1_000_100);
  const before = clock.at(200);
  clock.add(200, 210, 1_000_205);
  assert.equal(clock.offsetMs, 1_000_000);
  assert.ok(clock.at(201) >= before);
  clock.reset();
  assert.ok(Number.isNaN(clock.at(300)));
});

test("the error is at most half the shortest round trip, whatever the line does", () => {
  let seed = 7;
  const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
  for (let round = 0; round < 200; round++) {
    const clock = new ServerClock();
    for (let ping = 0; ping < 10; ping++) {
      const sent = ping * 1_000;
      const there = random() * 200;
      const back = random() * 200;
      clock.add(sent, sent + there + back, 77_000 + sent + there);
    }
    assert.ok(Math.abs(clock.offsetMs - 77_000) <= clock.rttMs / 2 + 1e-6);
  }
});
