import type { AtRow, SnapshotPayload } from "./messages.js";

/** A car in the area of interest, the own one included. */
export interface Entity {
  readonly slot: number;
  /** The player: `sub` of the token. */
  readonly player: string;
  readonly name: string;
  readonly vehicle: string;
  /** The cell that lists the car: an opaque name. */
  readonly cell: number;
  /** The newest row. A `who` always comes with one. */
  readonly row: AtRow | undefined;
}

/** What one snapshot changed. */
export interface Changes {
  readonly entered: readonly Entity[];
  readonly left: readonly Entity[];
  /** Those with a row in this snapshot, changed or not. */
  readonly told: readonly Entity[];
}

type Listed = { -readonly [Key in keyof Entity]: Entity[Key] };

/** Who is near, rebuilt from snapshots. An entity keeps its identity while some watched cell lists it. */
export class EntityMap implements Iterable<Entity> {
  private readonly bySlot = new Map<number, Listed>();
  private readonly members = new Map<number, Set<number>>();

  get size(): number {
    return this.bySlot.size;
  }

  get(slot: number): Entity | undefined {
    return this.bySlot.get(slot);
  }

  [Symbol.iterator](): Iterator<Entity> {
    return this.bySlot.values();
  }

  /** Forgets everything; returns those who were there. */
  clear(): readonly Entity[] {
    const left = [...this.bySlot.values()];
    this.bySlot.clear();
    this.members.clear();
    return left;
  }

  /**
   * Applies one snapshot in the contract's order: reset, drop, full cells cleared, all `who`, all `at`, all `gone`;
   * then those whom no cell lists any more are removed.
   */
  apply(snapshot: SnapshotPayload): Changes {
    const unlisted = new Set<number>();
    const entered: Entity[] = [];
    const left: Entity[] = [];
    const told = new Set<Entity>();

    const cleared = snapshot.reset === true ? [...this.members.keys()] : [...(snapshot.drop ?? [])];
    for (const cell of snapshot.cells) if (cell.full === true) cleared.push(cell.c);
    for (const cell of cleared) {
      for (const slot of this.members.get(cell) ?? []) unlisted.add(slot);
      this.members.delete(cell);
    }
    for (const cell of snapshot.cells) {
      for (const [slot, player, name, vehicle] of cell.who ?? []) {
        const known = this.bySlot.get(slot);
        if (known !== undefined && known.player === player) {
          this.members.get(known.cell)?.delete(slot);
          Object.assign(known, { name, vehicle, cell: cell.c });
        } else {
          if (known !== undefined) left.push(this.remove(known));
          const entity = { slot, player, name, vehicle, cell: cell.c, row: undefined };
          this.bySlot.set(slot, entity);
          entered.push(entity);
        }
        this.membersOf(cell.c).add(slot);
        unlisted.delete(slot);
      }
    }
    for (const cell of snapshot.cells) {
      for (const row of cell.at ?? []) {
        const entity = this.bySlot.get(row[0]);
        if (entity === undefined) continue;
        entity.row = row;
        told.add(entity);
      }
    }
    for (const cell of snapshot.cells) {
      for (const slot of cell.gone ?? []) if (this.bySlot.get(slot)?.cell === cell.c) unlisted.add(slot);
    }
    for (const slot of unlisted) {
      const entity = this.bySlot.get(slot);
      if (entity === undefined) continue;
      told.delete(entity);
      left.push(this.remove(entity));
    }
    return {
      entered: entered.filter((entity) => this.bySlot.get(entity.slot) === entity),
      left: left.filter((entity) => !entered.includes(entity)),
      told: [...told],
    };
  }

  private membersOf(cell: number): Set<number> {
    const members = this.members.get(cell) ?? new Set();
    this.members.set(cell, members);
    return members;
  }

  private remove(entity: Listed): Entity {
    this.bySlot.delete(entity.slot);
    this.members.get(entity.cell)?.delete(entity.slot);
    return entity;
  }
}
