import assert from "node:assert/strict";
import { test } from "node:test";
import { CloseCode, RECONNECT, ReconnectPolicy } from "@shard/client";

const policy = (random = 0.5) => new ReconnectPolicy(() => random);

test("after these codes a client stays away", () => {
  for (const code of [1000, 1003, 1009, 4400, 4403, 4409, 4428])
    assert.equal(policy().closed(code, 60_000).retry, false, code);
});

test("codes of ours that are unknown mean never, others a bad line", () => {
  assert.equal(policy().closed(4477, 60_000).retry, false);
  for (const code of [1001, 1005, 1006, 1011, 1015, 3000, 4999])
    assert.equal(policy().closed(code, 60_000).retry, true, code);
});

test("every close code has a rule", () => {
  assert.deepEqual(Object.keys(RECONNECT).map(Number), Object.values(CloseCode));
});

test("an expired or refused token is tried again once, with a fresh one", () => {
  for (const code of [4401, 4419]) {
    const once = policy();
    const first = once.closed(code, 0);
    assert.deepEqual([first.retry, first.freshToken], [true, true]);
    assert.equal(once.closed(code, 0).retry, false);
    const later = policy();
    later.closed(code, 3_600_000);
    assert.equal(later.closed(code, 3_600_000).retry, true, "a connection that held resets the rule");
  }
});

test("a line that breaks while a fresh token is due still gets one", () => {
  const token = policy();
  token.closed(4419, 0);
  assert.equal(token.closed(1006, 0).freshToken, true);
});

test("the limit doubles up to 15 s, and the delay is a random share of it", () => {
  const limits = (random) => {
    const it = policy(random);
    return Array.from({ length: 8 }, () => it.closed(1006, 0).delayMs);
  };
  assert.deepEqual(limits(0.5), [250, 500, 1000, 2000, 4000, 7500, 7500, 7500]);
  assert.deepEqual(limits(0), [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.ok(Math.max(...limits(0.999999)) < 15_000);
});

test("a restart spreads over 2 s, overload over 5 s and not before what the error asked for", () => {
  assert.equal(policy().closed(1012, 60_000).delayMs, 1_000);
  assert.equal(policy().closed(1013, 60_000).delayMs, 2_500);
  assert.equal(policy(0).closed(4429, 60_000, 3_000).delayMs, 3_000);
});

test("only a connection that held resets the back-off", () => {
  const it = policy();
  for (const expected of [250, 500, 1000]) assert.equal(it.closed(1011, 9_999).delayMs, expected);
  assert.equal(it.closed(1011, 10_000).delayMs, 250);
  it.closed(1011, 0);
  it.reset();
  assert.equal(it.closed(1011, 0).delayMs, 250);
});
