import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLost, MoveSender, RequestRefused, ShardClient } from "@shard/client";
import { FakeTime, fakeSockets, lobby, placed, settled, welcome } from "./fakes.mjs";

function setUp({ token = async () => "t" } = {}) {
  const time = new FakeTime();
  const WebSocket = fakeSockets();
  const tokens = [];
  const client = new ShardClient({
    url: "ws://shard/ws",
    token: (fresh) => {
      tokens.push(fresh);
      return token(fresh);
    },
    WebSocket,
    time,
    random: () => 0.5,
  });
  const events = [];
  for (const name of [
    "status",
    "closed",
    "refreshed",
    "token_failed",
    "placed",
    "acknowledged",
    "entity_entered",
    "entity_left",
  ])
    client.on(name, (value) => events.push([name, value]));
  return { time, WebSocket, tokens, client, events };
}

/** Connected and in the lobby, or in the world. */
async function arrived(options = {}) {
  const it = setUp(options);
  it.client.connect();
  await settled();
  it.WebSocket.newest.accept();
  it.WebSocket.newest.deliver(welcome());
  it.WebSocket.newest.deliver(lobby);
  if (options.world) it.WebSocket.newest.deliver(placed());
  return it;
}

test("the token comes first, then the socket, then auth as the first message", async () => {
  const { client, WebSocket, time } = setUp();
  client.connect();
  assert.equal(WebSocket.opened.length, 0);
  await settled();
  assert.equal(WebSocket.newest.url, "ws://shard/ws");
  assert.deepEqual(WebSocket.newest.sent, []);
  WebSocket.newest.accept();
  assert.deepEqual(WebSocket.newest.sent, [{ type: "auth", payload: { token: "t" } }]);
  time.nowMs += 40;
  WebSocket.newest.deliver(welcome());
  assert.equal(client.serverNowMs(), 5_000_020, "the welcome sets the clock, half a round trip on");
  WebSocket.newest.deliver(lobby);
  assert.equal(client.status, "lobby");
});

test("connect twice makes one connection; a bad address is told at once", async () => {
  const { client, WebSocket } = setUp();
  client.connect();
  client.connect();
  await settled();
  client.connect();
  await settled();
  assert.equal(WebSocket.opened.length, 1);
  assert.throws(() => new ShardClient({ url: "https://shard/ws", token: async () => "t", WebSocket }), TypeError);
});

test("requests are answered by re; an error with re rejects; a lost line rejects the rest", async () => {
  const { client, WebSocket } = await arrived();
  const [entering, asking, leaving] = [client.enter({ name: "Juno" }), client.request("who", {}), client.leave()];
  const socket = WebSocket.newest;
  const [enter, who] = [socket.of("enter")[0], socket.of("who")[0]];
  assert.deepEqual(enter.payload, { name: "Juno" });
  socket.deliver({ type: "error", payload: { code: "not_allowed", message: "no" }, re: who.id });
  socket.deliver({ ...placed(), re: enter.id });
  assert.equal((await entering).epoch, 1);
  await assert.rejects(asking, (error) => error instanceof RequestRefused && error.code === "not_allowed");
  socket.end(1006);
  await assert.rejects(leaving, ConnectionLost);
  await assert.rejects(client.leave(), ConnectionLost);
});

test("moves go at 20 Hz with growing seq, stamped with the epoch of the last placed", async () => {
  const { client, WebSocket, time } = await arrived();
  let car = { x: 1, z: 2, yaw: 0, vx: 0, vz: 0 };
  client.drive(() => car);
  await time.advance(200);
  assert.equal(WebSocket.newest.of("move").length, 0, "nothing from the lobby");
  WebSocket.newest.deliver(placed({ epoch: 9 }));
  await time.advance(1_000);
  const moves = WebSocket.newest.of("move");
  assert.equal(moves.length, 21);
  assert.deepEqual(moves[0].payload, { epoch: 9, seq: 1, t: 1_200, x: 1, z: 2, yaw: 0, vx: 0, vz: 0 });
  assert.deepEqual(
    moves.map(({ payload }) => payload.seq),
    Array.from({ length: 21 }, (_, index) => index + 1),
  );
  car = { ...car, y: 3, vy: -1 };
  await time.advance(50);
  assert.deepEqual(WebSocket.newest.sent.at(-1).payload.y, 3);
  car = { ...car, x: NaN };
  await time.advance(500);
  assert.equal(WebSocket.newest.of("move").length, 22, "no sample with a number that JSON cannot hold");
});

test("the game adopts the pose of a placed before the first sample with the new epoch", async () => {
  const { client, WebSocket, time } = await arrived();
  let car = { x: 1, z: 2, yaw: 0, vx: 0, vz: 0 };
  client.on("placed", ({ x, z, yaw, vx = 0, vz = 0 }) => (car = { x, z, yaw, vx, vz }));
  client.drive(() => car);
  WebSocket.newest.deliver(placed({ epoch: 1, x: 10 }));
  await time.advance(100);
  WebSocket.newest.deliver(placed({ epoch: 2, x: 77, z: 88, reason: "correction" }));
  await time.advance(100);
  for (const { payload } of WebSocket.newest.of("move")) assert.equal(payload.x, payload.epoch === 2 ? 77 : 10);
  assert.ok(WebSocket.newest.of("move").some(({ payload }) => payload.epoch === 2));
  WebSocket.newest.deliver({ ...lobby, payload: { ...lobby.payload, reason: "left" } });
  const sent = WebSocket.newest.of("move").length;
  await time.advance(500);
  assert.equal(WebSocket.newest.of("move").length, sent, "none after leaving the world");
});

test("the own row acknowledges the whole seq, of which it has 16 bits", async () => {
  const { client, WebSocket, time, events } = await arrived({ world: true });
  client.drive(() => ({ x: 1, z: 2, yaw: 0, vx: 0, vz: 0 }));
  await time.advance(500);
  const row = [5, 8, 100, 200, 0, 0];
  WebSocket.newest.deliver({
    type: "snapshot",
    payload: { tick: 9, t: 1, cells: [{ c: 1, full: true, who: [[5, "p", "n", "car"]], at: [row] }] },
  });
  assert.deepEqual(events.at(-1), ["acknowledged", { seq: 8, row }]);
  const moves = new MoveSender(() => undefined, time);
  moves.seq = 65_540;
  assert.equal(moves.acknowledged([5, 3, 0, 0, 0, 0]), 65_539);
  assert.equal(moves.acknowledged([5, 65_535, 0, 0, 0, 0]), 65_535);
});

test("auth_expiring renews the token on the live connection, and again until it works", async () => {
  let broken = true;
  const { WebSocket, time, tokens, events } = await arrived({
    token: async (fresh) => {
      if (fresh && broken) throw new Error("offline");
      return fresh ? "t2" : "t1";
    },
  });
  const socket = WebSocket.newest;
  socket.deliver({ type: "notice", payload: { code: "auth_expiring", message: "" } });
  await time.advance(100);
  assert.equal(events.at(-1)[0], "token_failed");
  broken = false;
  await time.advance(10_000);
  const again = socket.of("auth").at(-1);
  assert.equal(again.payload.token, "t2");
  socket.deliver({ ...welcome({ expiresAtMs: 9 }), re: again.id });
  await time.advance(30_000 - 10_100);
  assert.deepEqual(events.at(-1)[0], "refreshed");
  assert.deepEqual(tokens, [false, true, true]);
  assert.equal(WebSocket.opened.length, 1);
});

test("a refused renewal is tried again; the connection lives on", async () => {
  const { WebSocket, time, tokens } = await arrived();
  const socket = WebSocket.newest;
  socket.deliver({ type: "notice", payload: { code: "auth_expiring", message: "" } });
  await time.advance(0);
  socket.deliver({ type: "error", payload: { code: "auth_failed", message: "" }, re: socket.of("auth").at(-1).id });
  await time.advance(9_000);
  assert.deepEqual(tokens, [false, true]);
  socket.deliver({ type: "notice", payload: { code: "degraded", message: "" } });
  await time.advance(1_500);
  assert.deepEqual(tokens, [false, true, true]);
});

test("a broken line comes back by itself and forgets who was near", async () => {
  const { client, WebSocket, time, events } = await arrived({ world: true });
  WebSocket.newest.deliver({
    type: "snapshot",
    payload: {
      tick: 9,
      t: 5_000_000,
      cells: [
        {
          c: 1,
          full: true,
          who: [
            [5, "p", "n", "car"],
            [6, "q", "m", "car"],
          ],
          at: [
            [5, 0, 0, 0, 0, 0],
            [6, 0, 700, 0, 0, 0],
          ],
        },
      ],
    },
  });
  assert.equal(client.entities.size, 2);
  assert.equal(client.sample().get(6).x, 7);
  WebSocket.newest.end(1006);
  assert.deepEqual(events.filter(([name]) => name === "entity_left").length, 2);
  assert.deepEqual([client.entities.size, client.sample().size, client.slot], [0, 0, undefined]);
  assert.equal(client.status, "waiting");
  assert.deepEqual(events.at(-1), ["closed", { code: 1006, error: undefined, retryInMs: 250 }]);
  await time.advance(249);
  assert.equal(WebSocket.opened.length, 1);
  await time.advance(1);
  assert.equal(WebSocket.opened.length, 2);
  WebSocket.newest.accept();
  WebSocket.newest.deliver(welcome({ resumed: true }));
  WebSocket.newest.deliver(placed({ epoch: 4, reason: "resume" }));
  assert.equal(client.status, "world");
  WebSocket.opened[0].deliver(lobby);
  WebSocket.opened[0].end(4409);
  assert.equal(client.status, "world", "what an old socket says counts for nothing");
});

test("never again after 4409, and only once with a fresh token after 4419", async () => {
  const replaced = await arrived();
  replaced.WebSocket.newest.deliver({ type: "error", payload: { code: "replaced", message: "" } });
  replaced.WebSocket.newest.end(4409);
  await replaced.time.advance(3_600_000);
  assert.equal(replaced.WebSocket.opened.length, 1);
  assert.equal(replaced.client.status, "offline");
  assert.deepEqual(replaced.events.at(-1)[1], {
    code: 4409,
    error: { code: "replaced", message: "" },
    retryInMs: undefined,
  });

  const expired = await arrived();
  expired.WebSocket.newest.end(4419);
  await expired.time.advance(1_000);
  assert.deepEqual(expired.tokens, [false, true]);
  expired.WebSocket.newest.accept();
  expired.WebSocket.newest.end(4419);
  await expired.time.advance(3_600_000);
  assert.equal(expired.WebSocket.opened.length, 2);
  expired.client.connect();
  await settled();
  assert.equal(expired.WebSocket.opened.length, 3, "the player may ask");
});

test("silence is a dead line, and so is a connection that is never welcomed", async () => {
  const { client, WebSocket, time } = await arrived();
  const first = WebSocket.newest;
  await time.advance(60_000);
  assert.equal(WebSocket.opened.length, 1);
  assert.ok(first.of("ping").length >= 12);
  first.answersPings = false;
  await time.advance(18_000);
  assert.equal(WebSocket.opened.length, 2);
  await time.advance(16_000);
  assert.ok(WebSocket.opened.length >= 3);
  client.close();
  const count = WebSocket.opened.length;
  await time.advance(60_000);
  assert.equal(WebSocket.opened.length, count);
  assert.equal(time.timers.size, 0, "nothing is left running");
});

test("close ends everything, also while a token is under way", async () => {
  const { client, WebSocket, time } = await arrived({ world: true });
  const wanted = assert.rejects(client.chunks.load(1, 1), ConnectionLost);
  client.close();
  await wanted;
  assert.equal(WebSocket.newest.closedWith, 1000);
  assert.equal(client.status, "offline");
  assert.equal(time.timers.size, 0);
  client.connect();
  client.close();
  await settled();
  assert.equal(WebSocket.opened.length, 1);
});

test("frames that this version does not know are ignored", async () => {
  const { client, WebSocket } = await arrived();
  const socket = WebSocket.newest;
  for (const listener of socket.listeners.message)
    for (const data of [
      "",
      "{",
      "[]",
      "null",
      '{"type":"later","payload":{}}',
      '{"type":"placed","payload":{}}',
      '{"type":"toString","payload":{}}',
      new ArrayBuffer(2),
    ])
      listener({ data });
  assert.equal(client.status, "lobby");
  socket.deliver({ ...placed(), payload: { ...placed().payload, colour: "red" }, extra: 1 });
  assert.equal(client.status, "world");
});

test("a listener that throws is reported and stops nobody else", async () => {
  const { client, WebSocket } = await arrived();
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  client.on("placed", () => {
    throw new Error("the game's own");
  });
  let told = false;
  const stop = client.on("placed", () => (told = true));
  WebSocket.newest.deliver(placed());
  assert.deepEqual(reported, ["the game's own"]);
  assert.ok(told);
  told = false;
  stop();
  WebSocket.newest.deliver(placed());
  assert.equal(told, false);
  delete globalThis.reportError;
  assert.equal(client.status, "world");
});

test("chunks are asked for through the connection and refused by re", async () => {
  const { client, WebSocket } = await arrived();
  const wanted = client.chunks.load(3, 4);
  await settled();
  const asked = WebSocket.newest.of("chunks")[0];
  assert.deepEqual(asked.payload, { want: [[3, 4]] });
  WebSocket.newest.deliver({ type: "error", payload: { code: "unsupported", message: "" }, re: asked.id });
  await assert.rejects(wanted, RequestRefused);
});

test("a chunk of another world is named with its hash, and good when the shard says so", async () => {
  const { client, WebSocket } = await arrived();
  const wanted = client.chunks.load(3, 4);
  await settled();
  const chunk = { cx: 3, cz: 4, seed: 1, biome: "b", props: [], roads: [], ground: [], kiosks: [], gates: [], hash: "aa" };
  WebSocket.newest.deliver({ type: "chunk", payload: chunk, re: WebSocket.newest.of("chunks")[0].id });
  await wanted;
  client.chunks.connected("another world");
  assert.equal(client.chunks.get(3, 4), undefined);
  const again = client.chunks.load(3, 4);
  await settled();
  const asked = WebSocket.newest.of("chunks")[1];
  assert.deepEqual(asked.payload, { want: [], have: [[3, 4, "aa"]] });
  WebSocket.newest.deliver({ type: "chunks_same", payload: { chunks: [[3, 4]] }, re: asked.id });
  assert.deepEqual(await again, chunk);
});
