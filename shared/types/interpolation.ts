import type { Changes } from "./entities.js";
import { type AtRow, CARRY_FORWARD_MS } from "./messages.js";

/** Where a car is to be drawn: metres and radians; heading is `(sin yaw, 0, cos yaw)`. */
export interface Pose {
  readonly x: number;
  /** Metres above the datum; undefined: on the ground, which the client knows. */
  readonly y: number | undefined;
  readonly z: number;
  /** Radians, 0 to 2 pi. */
  readonly yaw: number;
  /** Metres per second along the heading; negative: backwards. */
  readonly speed: number;
  /** Sum of `Flag`. */
  readonly flags: number;
}

interface Sample extends Pose {
  readonly atMs: number;
}

/** Samples kept per car: more than a second at 20 Hz. */
const KEPT = 24;

/** A car that seems to be faster than this between two samples was moved by the server: it jumps, metres per second. */
const JUMP_MPS = 200;

/** The least frequent cells come every fourth tick: a car without a row for that long has not changed. */
const SLOWEST_TICKS = 4;

const FULL_TURN = 2 * Math.PI;

/** Remembers the rows of the last second and gives the poses of all cars at one moment between them. */
export class Interpolation {
  private readonly tracks = new Map<number, Sample[]>();
  private newestMs = -Infinity;
  /** Milliseconds. */
  private tickMs = 50;

  /** Sets the tick rate of `welcome`. */
  setTickRate(tickHz: number): void {
    this.tickMs = 1000 / tickHz;
  }

  /** Takes in what a snapshot of time `atMs` (its `t`) changed. */
  apply(atMs: number, changes: Changes): void {
    for (const entity of [...changes.left, ...changes.entered]) this.tracks.delete(entity.slot);
    for (const entity of changes.told) {
      if (entity.row !== undefined) this.push(entity.slot, sampleOf(entity.row, atMs));
    }
    this.newestMs = Math.max(this.newestMs, atMs);
  }

  /** Forgets all cars. */
  clear(): void {
    this.tracks.clear();
    this.newestMs = -Infinity;
  }

  /** Poses of all cars at one moment of server time, by slot. */
  sample(atServerMs: number): Map<number, Pose> {
    const poses = new Map<number, Pose>();
    for (const slot of this.tracks.keys()) {
      const pose = this.sampleOne(slot, atServerMs);
      if (pose !== undefined) poses.set(slot, pose);
    }
    return poses;
  }

  /**
   * The pose of one car: between the rows around that moment, or the oldest row before them. After the newest row it is
   * carried forward by its velocity, at most 150 ms; not at all if newer snapshots had no row of it, for then it rests.
   */
  sampleOne(slot: number, atServerMs: number): Pose | undefined {
    const track = this.tracks.get(slot);
    const after = track?.findIndex((sample) => sample.atMs > atServerMs) ?? -1;
    const newest = track?.at(-1);
    if (track === undefined || newest === undefined) return undefined;
    const later = after < 0 ? undefined : track[after];
    const earlier = after < 0 ? newest : track[after - 1];
    if (earlier === undefined) return later && poseOf(later);
    if (later !== undefined) return between(earlier, later, atServerMs);
    if (this.restsUntilMs() > newest.atMs) return poseOf(newest);
    return carried(newest, Math.min(atServerMs - newest.atMs, CARRY_FORWARD_MS) / 1000);
  }

  /** Until when a car without a newer row is known to have stood still: had it moved, a snapshot had told. */
  private restsUntilMs(): number {
    return this.newestMs - (SLOWEST_TICKS - 1) * this.tickMs - 1;
  }

  private push(slot: number, sample: Sample): void {
    const track = this.tracks.get(slot) ?? [];
    this.tracks.set(slot, track);
    const last = track.at(-1);
    if (last !== undefined && sample.atMs < last.atMs) return;
    if (last !== undefined && sample.atMs === last.atMs) track.pop();
    else if (last !== undefined && this.restsUntilMs() > last.atMs) track.push({ ...last, atMs: this.restsUntilMs() });
    track.push(sample);
    track.splice(0, track.length - KEPT);
  }
}

function sampleOf(row: AtRow, atMs: number): Sample {
  const [, , x, z, yaw, speed, flags, y] = row;
  return {
    atMs,
    x: x / 100,
    y: y === undefined || y === null ? undefined : y / 100,
    z: z / 100,
    yaw: yaw / 1000,
    speed: speed / 100,
    flags: flags ?? 0,
  };
}

function poseOf({ x, y, z, yaw, speed, flags }: Sample): Pose {
  return { x, y, z, yaw, speed, flags };
}

function carried(sample: Sample, seconds: number): Pose {
  const way = sample.speed * seconds;
  const pose = poseOf(sample);
  return { ...pose, x: pose.x + way * Math.sin(pose.yaw), z: pose.z + way * Math.cos(pose.yaw) };
}

function between(a: Sample, b: Sample, atMs: number): Pose {
  const seconds = (b.atMs - a.atMs) / 1000;
  if (Math.hypot(b.x - a.x, b.z - a.z) > JUMP_MPS * seconds) return poseOf(a);
  const share = (atMs - a.atMs) / (b.atMs - a.atMs);
  const mix = (from: number, to: number) => from + (to - from) * share;
  const turn = ((b.yaw - a.yaw + 1.5 * FULL_TURN) % FULL_TURN) - FULL_TURN / 2;
  return {
    x: mix(a.x, b.x),
    y: a.y === undefined || b.y === undefined ? a.y : mix(a.y, b.y),
    z: mix(a.z, b.z),
    yaw: (a.yaw + turn * share + FULL_TURN) % FULL_TURN,
    speed: mix(a.speed, b.speed),
    flags: a.flags,
  };
}
