import assert from "node:assert/strict";
import { test } from "node:test";
import { Interpolation } from "@shard/client";

const close = (actual, expected, why) =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${why ?? ""} ${actual} is not ${expected}`);

/** Feeds one row of slot 1 at time `t`; `row` in metres, radians, metres per second. */
function tell(view, t, { x = 0, z = 0, yaw = 0, speed = 0, flags, y } = {}) {
  const tail = y === undefined ? (flags === undefined ? [] : [flags]) : [flags ?? 0, y * 100];
  const row = [1, 0, x * 100, z * 100, Math.round(yaw * 1000), speed * 100, ...tail];
  view.apply(t, { entered: [], left: [], told: [{ slot: 1, row }] });
}

/** A snapshot in which slot 1 has no row. */
const silence = (view, t) => view.apply(t, { entered: [], left: [], told: [] });

test("between two rows the pose is between them", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10, z: 5, speed: 20, y: 1 });
  tell(view, 1050, { x: 11, z: 7, speed: 10, y: 2 });
  const pose = view.sampleOne(1, 1025);
  close(pose.x, 10.5);
  close(pose.z, 6);
  close(pose.y, 1.5);
  close(pose.speed, 15);
  close(view.sample(1025).get(1).x, 10.5);
});

test("yaw turns the short way, also across north", () => {
  const view = new Interpolation();
  tell(view, 1000, { yaw: 6.2 });
  tell(view, 1050, { yaw: 0.1 });
  const turn = 2 * Math.PI - 6.2 + 0.1;
  close(view.sampleOne(1, 1025).yaw, (6.2 + turn / 2) % (2 * Math.PI));
  const back = new Interpolation();
  tell(back, 1000, { yaw: 0.1 });
  tell(back, 1050, { yaw: 6.2 });
  close(back.sampleOne(1, 1025).yaw, (0.1 - turn / 2 + 2 * Math.PI) % (2 * Math.PI));
});

test("after the newest row a car is carried forward along its heading, at most 150 ms", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10, z: 20, yaw: Math.round((Math.PI / 2) * 1000) / 1000, speed: 30 });
  close(Math.round(view.sampleOne(1, 1100).x * 1e6) / 1e6, 13);
  const farthest = view.sampleOne(1, 1150);
  assert.deepEqual(view.sampleOne(1, 9999), farthest);
  assert.ok(Math.abs(farthest.x - 14.5) < 1e-5);
  const reverse = new Interpolation();
  tell(reverse, 1000, { z: 20, speed: -10 });
  close(reverse.sampleOne(1, 1100).z, 19);
});

test("before the oldest row the car stands where it was first seen", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10, speed: 30 });
  close(view.sampleOne(1, 10).x, 10);
});

test("a car without rows while others had theirs has not moved: no drift towards its next row", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10 });
  for (let t = 1050; t <= 2000; t += 50) silence(view, t);
  tell(view, 2050, { x: 12, speed: 20 });
  close(view.sampleOne(1, 1500).x, 10, "halfway in time it still stands");
  close(view.sampleOne(1, 1840).x, 10);
  close(view.sampleOne(1, 2050).x, 12);
});

test("a car with speed whose rows end while others have theirs is not carried on", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10, yaw: 1.571, speed: 30 });
  for (let t = 1050; t <= 1300; t += 50) silence(view, t);
  close(view.sampleOne(1, 1320).x, 10);
});

test("a gap in the snapshots themselves is bridged evenly", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10, speed: 20 });
  tell(view, 2000, { x: 30, speed: 20 });
  close(view.sampleOne(1, 1500).x, 20);
});

test("a cell that comes every fourth tick is interpolated over the whole window", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10, speed: 20 });
  for (const t of [1050, 1100, 1150]) silence(view, t);
  tell(view, 1200, { x: 14, speed: 20 });
  close(view.sampleOne(1, 1100).x, 12);
});

test("a car that the server moved jumps instead of flying", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10 });
  tell(view, 1050, { x: 500 });
  close(view.sampleOne(1, 1049).x, 10);
  close(view.sampleOne(1, 1050).x, 500);
});

test("rows that are older than the newest are ignored, of equal time the last holds", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10 });
  tell(view, 1000, { x: 11 });
  tell(view, 950, { x: 99 });
  close(view.sampleOne(1, 1000).x, 11);
});

test("who left is forgotten, and who comes in its slot starts anew", () => {
  const view = new Interpolation();
  tell(view, 1000, { x: 10 });
  view.apply(1050, { entered: [], left: [{ slot: 1 }], told: [] });
  assert.equal(view.sampleOne(1, 1000), undefined);
  tell(view, 1100, { x: 10 });
  const newcomer = { slot: 1, row: [1, 0, 5000, 0, 0, 0] };
  view.apply(1150, { entered: [newcomer], left: [], told: [newcomer] });
  close(view.sampleOne(1, 1120).x, 50);
});

test("flags and height of a row with a tail, and of one without", () => {
  const view = new Interpolation();
  tell(view, 1000, { flags: 17, y: -2.5 });
  assert.deepEqual([view.sampleOne(1, 1000).flags, view.sampleOne(1, 1000).y], [17, -2.5]);
  tell(view, 1050, {});
  assert.deepEqual([view.sampleOne(1, 1050).flags, view.sampleOne(1, 1050).y], [0, undefined]);
});
