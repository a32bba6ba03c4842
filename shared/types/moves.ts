import type { Time } from "./clock.js";
import { type AtRow, type MovePayload, type PlacedPayload, SEQ_MASK, TICK_HZ } from "./messages.js";

/** The own car as the game simulates it: metres, metres per second, radians. `y` left out means on the ground. */
export type CarState = Pick<MovePayload, "x" | "z" | "yaw" | "vx" | "vz" | "y" | "vy">;

/** Gives the car as it is now; undefined while there is nothing to send. */
export type CarSource = () => CarState | undefined;

/** Milliseconds between samples. */
const PERIOD_MS = 1000 / TICK_HZ;

/** Samples the own car at 20 Hz and stamps each with the epoch of the last `placed`. */
export class MoveSender {
  /** The last `seq` that was sent. */
  seq = 0;
  private epoch: number | undefined;
  private source: CarSource | undefined;
  private timer: unknown;

  constructor(
    private readonly send: (move: MovePayload) => void,
    private readonly time: Time,
  ) {}

  /** Uses another source from now on. */
  drive(source: CarSource | undefined): void {
    this.source = source;
  }

  /** The server put the car somewhere: samples from now on carry the new epoch. */
  placed(placed: PlacedPayload): void {
    this.epoch = placed.epoch;
    if (this.timer === undefined) this.tick(this.time.now());
  }

  /** The car is out of the world, or the connection gone: nothing is sent until the next `placed`. */
  stop(): void {
    this.time.stop(this.timer);
    this.timer = undefined;
    this.epoch = undefined;
  }

  /** The whole `seq` that a row of the own car acknowledges: the row has only its last 16 bits. */
  acknowledged(row: AtRow): number {
    return this.seq - ((this.seq - row[1]) & SEQ_MASK);
  }

  /** One sample, and the next 50 ms after it was due: a late timer does not add up. */
  private tick(dueMs: number): void {
    const nowMs = this.time.now();
    const nextMs = Math.max(dueMs + PERIOD_MS, nowMs);
    this.timer = this.time.start(() => this.tick(nextMs), nextMs - nowMs);
    const car = this.source?.();
    if (car === undefined || this.epoch === undefined) return;
    const { x, z, yaw, vx, vz, y, vy } = car;
    if (![x, z, yaw, vx, vz, y ?? 0, vy ?? 0].every(Number.isFinite)) return;
    this.seq = (this.seq + 1) % 2 ** 32;
    const height = { ...(y !== undefined && { y }), ...(vy !== undefined && { vy }) };
    this.send({ epoch: this.epoch, seq: this.seq, t: nowMs, x, z, yaw, vx, vz, ...height });
  }
}
