import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { decodeServer, encode, MESSAGE_FIELDS } from "@shard/client";

const folder = process.env.WIRE_FIXTURES;
const frames = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]);

test("there is one frame for every message type, and none besides", () => {
  const types = ["client", "server"].flatMap((side) =>
    Object.keys(MESSAGE_FIELDS[side]).map((type) => `${side}_${type}.json`),
  );
  assert.deepEqual(frames.map(([name]) => name).sort(), types.sort());
});

for (const [name, text] of frames) {
  test(`${name} is read and written unchanged, and has every field`, () => {
    const side = name.split("_")[0];
    const message = side === "server" ? decodeServer(text) : JSON.parse(text);
    assert.notEqual(message, null);
    assert.deepEqual(JSON.parse(encode(message)), JSON.parse(text));
    const fields = MESSAGE_FIELDS[side][message.type].map((field) => field.replace("?", ""));
    assert.deepEqual(Object.keys(message.payload ?? {}).sort(), fields.sort());
  });
}
