import assert from "node:assert/strict";
import { test } from "node:test";
import { EntityMap } from "@shard/client";

const who = (slot, player = `p${slot}`) => [slot, player, `name ${slot}`, "car"];
const at = (slot, x = 100) => [slot, 1, x, 200, 0, 0];

function apply(map, cells, rest = {}) {
  return map.apply({ tick: 1, t: 1, cells, ...rest });
}

function listing(map) {
  return Object.fromEntries([...map].map(({ slot, cell }) => [slot, cell]));
}

test("a full cell replaces its members and touches no other cell", () => {
  const map = new EntityMap();
  apply(map, [
    { c: 1, full: true, who: [who(1), who(2)], at: [at(1), at(2)] },
    { c: 2, full: true, who: [who(3)], at: [at(3)] },
  ]);
  const changes = apply(map, [{ c: 1, full: true, who: [who(2), who(4)], at: [at(2), at(4)] }]);
  assert.deepEqual(listing(map), { 2: 1, 3: 2, 4: 1 });
  assert.deepEqual(
    changes.left.map(({ slot }) => slot),
    [1],
  );
  assert.deepEqual(
    changes.entered.map(({ slot }) => slot),
    [4],
  );
});

test("an entity that moves between watched cells keeps its identity, whichever entry comes first", () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const map = new EntityMap();
    apply(map, [{ c: 1, full: true, who: [who(1)], at: [at(1)] }]);
    const before = map.get(1);
    const news = [
      { c: 1, gone: [1] },
      { c: 2, who: [who(1)], at: [at(1, 6500)] },
    ];
    const changes = apply(
      map,
      order.map((index) => news[index]),
    );
    assert.equal(map.get(1), before);
    assert.deepEqual(listing(map), { 1: 2 });
    assert.deepEqual([changes.entered, changes.left], [[], []]);
    assert.equal(map.get(1).row[2], 6500);
  }
});

test("a late gone of a cell that the slot has left already counts for nothing", () => {
  const map = new EntityMap();
  apply(map, [{ c: 1, full: true, who: [who(1)], at: [at(1)] }]);
  apply(map, [{ c: 2, who: [who(1)], at: [at(1)] }]);
  apply(map, [{ c: 1, gone: [1] }]);
  assert.deepEqual(listing(map), { 1: 2 });
  apply(map, [{ c: 2, gone: [1] }]);
  assert.equal(map.size, 0);
});

test("of two cells that list a slot the later one wins, also against a drop or a full of the earlier", () => {
  const map = new EntityMap();
  apply(map, [{ c: 1, full: true, who: [who(1)], at: [at(1)] }]);
  apply(map, [{ c: 2, who: [who(1)], at: [at(1)] }], { drop: [1] });
  assert.deepEqual(listing(map), { 1: 2 });
  apply(
    map,
    [
      { c: 1, full: true, who: [who(5)], at: [at(5)] },
      { c: 3, full: true, who: [who(1)], at: [at(1)] },
    ],
    { drop: [2] },
  );
  assert.deepEqual(listing(map), { 1: 3, 5: 1 });
});

test("drop forgets the members of a cell, unless another lists them in the same message", () => {
  const map = new EntityMap();
  apply(map, [{ c: 1, full: true, who: [who(1), who(2)], at: [at(1), at(2)] }]);
  const kept = map.get(2);
  const changes = apply(map, [{ c: 9, who: [who(2)], at: [at(2)] }], { drop: [1] });
  assert.deepEqual(listing(map), { 2: 9 });
  assert.equal(map.get(2), kept);
  assert.deepEqual(
    changes.left.map(({ slot }) => slot),
    [1],
  );
});

test("reset forgets all cells first, but keeps the identity of those who are listed again", () => {
  const map = new EntityMap();
  apply(map, [
    { c: 1, full: true, who: [who(1), who(2)], at: [at(1), at(2)] },
    { c: 2, full: true, who: [who(3)], at: [at(3)] },
  ]);
  const kept = map.get(1);
  const changes = apply(map, [{ c: 4, full: true, who: [who(1)], at: [at(1)] }], { reset: true });
  assert.deepEqual(listing(map), { 1: 4 });
  assert.equal(map.get(1), kept);
  assert.deepEqual(changes.left.map(({ slot }) => slot).sort(), [2, 3]);
});

test("a slot that went to another player is another entity", () => {
  const map = new EntityMap();
  apply(map, [{ c: 1, full: true, who: [who(1, "ann")], at: [at(1)] }]);
  const changes = apply(map, [{ c: 1, who: [who(1, "bob")], at: [at(1)] }]);
  assert.deepEqual(
    changes.left.map(({ player }) => player),
    ["ann"],
  );
  assert.deepEqual(
    changes.entered.map(({ player }) => player),
    ["bob"],
  );
  assert.deepEqual(listing(map), { 1: 1 });
});

test("who and gone of one message cancel out; a row of nobody is ignored; entries of unseen cells are legal", () => {
  const map = new EntityMap();
  const changes = apply(
    map,
    [
      { c: 8, who: [who(1)], at: [at(1), at(77)], gone: [1] },
      { c: 3, gone: [55] },
    ],
    { drop: [99] },
  );
  assert.deepEqual([map.size, changes.entered, changes.left, changes.told], [0, [], [], []]);
});

test("clear gives back everybody", () => {
  const map = new EntityMap();
  apply(map, [{ c: 1, full: true, who: [who(1), who(2)], at: [at(1), at(2)] }]);
  assert.equal(map.clear().length, 2);
  apply(map, [{ c: 1, gone: [1] }]);
  assert.equal(map.size, 0);
});

test("random news end as a plain reference says", () => {
  let seed = 3;
  const random = (below) => ((seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 8) % below;
  for (let run = 0; run < 300; run++) {
    const map = new EntityMap();
    let reference = new Map(); // slot -> cell
    for (let step = 0; step < 12; step++) {
      const cells = [];
      for (let n = random(4); n > 0; n--) {
        const c = random(4);
        if (cells.some((cell) => cell.c === c)) continue;
        const slots = [random(6), random(6)].slice(0, random(3));
        cells.push({
          c,
          full: random(3) === 0,
          who: slots.map((slot) => who(slot)),
          at: slots.map((slot) => at(slot)),
          gone: [random(6)],
        });
      }
      const message = { reset: random(9) === 0, drop: [random(4)] };
      apply(map, cells, message);
      const cleared = new Set([...message.drop, ...cells.filter(({ full }) => full).map(({ c }) => c)]);
      reference = new Map([...reference].filter(([, cell]) => !message.reset && !cleared.has(cell)));
      for (const cell of cells) for (const [slot] of cell.who) reference.set(slot, cell.c);
      for (const cell of cells)
        for (const slot of cell.gone) if (reference.get(slot) === cell.c) reference.delete(slot);
      assert.deepEqual(listing(map), Object.fromEntries(reference));
    }
  }
});
