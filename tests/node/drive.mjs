/**
 * Drives the compiled client against a real shard and prints what it saw:
 *
 *   node drive.mjs --url ws://127.0.0.1:8765/ws --token TOKEN [--snapshots 1000] [--name NAME]
 *
 * Enters, drives to and fro across a border between two zones along a straight line, has its line cut once by a proxy in
 * between, comes back, applies that many snapshots, parks, and prints one line of JSON. It stays until its standard input
 * ends, so that others can compare what they see. Exit code 1 when something else happened than should.
 */

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { parseArgs } from "node:util";
import { ShardClient } from "@shard/client";

const TOP_MPS = 15;
const ACCELERATION_MPS2 = 5;
/** How far beyond the border it turns: more than the band in which a zone keeps its players. Metres. */
const BEYOND_M = 14;
const PATIENCE_MS = 120_000;
/** Rows that did not change are repeated once a second: after this all has been told. */
const PARKED_MS = 1_500;

/** A TCP proxy in front of the shard whose connections can be cut, as a tunnel would. */
async function cuttable(url) {
  const { hostname, port, pathname } = new URL(url);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => [...sockets].forEach((socket) => socket.resetAndDestroy());
  const close = () => {
    cut();
    server.close();
  };
  return { url: `ws://127.0.0.1:${server.address().port}${pathname}`, cut, close };
}

/** The nearest line between two zones that are neighbours, as {axis, at}: `x` or `z` and metres; searched from a pose. */
function nearestBorder(zones, pose) {
  const borders = [];
  for (const [x0, z0, x1, z1] of zones) {
    const here = { x: pose.x >= x0 && pose.x < x1, z: pose.z >= z0 && pose.z < z1 };
    if (here.z && zones.some((other) => other[0] === x1)) borders.push({ axis: "x", at: x1 });
    if (here.x && zones.some((other) => other[1] === z1)) borders.push({ axis: "z", at: z1 });
  }
  return borders.sort((a, b) => Math.abs(a.at - pose[a.axis]) - Math.abs(b.at - pose[b.axis]))[0];
}

/** A car that goes to and fro across a border on one axis and never exceeds its limits. */
class Shuttle {
  parking = false;
  speed = 0;

  constructor(placed, border) {
    this.pose = { x: placed.x, z: placed.z, yaw: placed.yaw };
    this.axis = border.axis;
    this.border = border.at;
    this.target = this.pose[this.axis] < border.at ? border.at + BEYOND_M : border.at - BEYOND_M;
    this.beforeMs = performance.now();
  }

  get resting() {
    return this.speed === 0;
  }

  /** The car as it is now. */
  state() {
    const nowMs = performance.now();
    const seconds = Math.min((nowMs - this.beforeMs) / 1000, 0.2);
    this.beforeMs = nowMs;
    const way = this.target - this.pose[this.axis];
    if (this.resting && !this.parking && Math.abs(way) < 0.5) this.target = 2 * this.border - this.target;
    const heading = Math.sign(this.target - this.pose[this.axis]) || 1;
    const stopIn = this.speed ** 2 / (2 * ACCELERATION_MPS2);
    const braking = this.parking || Math.abs(way) <= stopIn + this.speed * seconds;
    const speed = braking ? this.speed - ACCELERATION_MPS2 * seconds : this.speed + ACCELERATION_MPS2 * seconds;
    this.speed = Math.max(0, Math.min(TOP_MPS, speed));
    if (!this.resting) {
      this.pose[this.axis] += heading * this.speed * seconds;
      this.pose.yaw = this.axis === "x" ? (heading * Math.PI) / 2 : heading > 0 ? 0 : Math.PI;
    }
    const along = heading * this.speed;
    return { ...this.pose, vx: this.axis === "x" ? along : 0, vz: this.axis === "z" ? along : 0 };
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      token: { type: "string" },
      snapshots: { type: "string", default: "1000" },
      name: { type: "string", default: "Node" },
    },
  });
  const wanted = Number(values.snapshots);
  const proxy = await cuttable(values.url);
  const client = new ShardClient({ url: proxy.url, token: async () => values.token });
  const seen = { snapshots: 0, crossings: 0, closes: [], corrections: 0, acknowledged: 0, failures: [] };
  let shuttle;
  let cut = false;
  let side;
  const zoneOf = ([, , x, z]) =>
    client.welcome.zones.findIndex(
      ([x0, z0, x1, z1]) => x >= x0 * 100 && x < x1 * 100 && z >= z0 * 100 && z < z1 * 100,
    );

  client.on("lobby", () =>
    client.enter({ name: values.name }).catch((error) => seen.failures.push(`enter: ${error.message}`)),
  );
  client.on("placed", (placed) => {
    if (placed.reason === "correction") seen.corrections += 1;
    shuttle = new Shuttle(placed, nearestBorder(client.welcome.zones, placed));
    side = undefined;
  });
  client.on("error", ({ code, message }) => seen.failures.push(`${code}: ${message}`));
  client.on("token_failed", (error) => seen.failures.push(`token: ${error}`));
  client.on("closed", ({ code }) => seen.closes.push(code));
  client.on("acknowledged", ({ seq, row }) => {
    seen.acknowledged = seq;
    const zone = zoneOf(row);
    if (side !== undefined && zone !== side) seen.crossings += 1;
    side = zone;
  });

  const done = new Promise((resolve, reject) => {
    setTimeout(
      () => reject(new Error(`not done within ${PATIENCE_MS} ms: ${JSON.stringify(seen)}`)),
      PATIENCE_MS,
    ).unref();
    client.on("snapshot", () => {
      seen.snapshots += 1;
      if (!cut && seen.crossings > 0 && seen.snapshots > wanted / 3) {
        cut = true;
        proxy.cut();
      }
      if (seen.snapshots >= wanted) shuttle.parking = true;
      if (shuttle.parking && shuttle.resting) resolve();
    });
  });
  client.drive(() => shuttle?.state());
  client.connect();
  await done;
  await new Promise((resolve) => setTimeout(resolve, PARKED_MS));

  const entities = {};
  for (const { slot, player, name, vehicle, cell, row } of client.entities) {
    const [, , x, z, yaw, speed, flags = 0, y = null] = row;
    entities[slot] = { player, name, vehicle, cell, row: [x, z, yaw, speed, flags, y] };
  }
  const poses = client.sample();
  const drawn = [...client.entities].every(({ slot, row }) => Math.abs(poses.get(slot).x - row[2] / 100) < 0.01);
  console.log(JSON.stringify({ ...seen, slot: client.slot, rttMs: client.rttMs, drawn, entities }));
  process.stdin.resume();
  await once(process.stdin, "end");
  client.close();
  proxy.close();
  process.exitCode = drawn && cut ? 0 : 1;
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
