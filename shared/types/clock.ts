/** Time as the client needs it; replaced in tests. */
export interface Time {
  /** Milliseconds that only ever grow, from any start. */
  now(): number;
  /** Runs something once after a delay; returns what `stop` takes. */
  start(run: () => void, delayMs: number): unknown;
  stop(timer: unknown): void;
}

/** The host's monotonic clock and timers. */
export const hostTime: Time = {
  now: () => performance.now(),
  start: (run, delayMs) => setTimeout(run, delayMs),
  stop: (timer) => clearTimeout(timer as Parameters<typeof clearTimeout>[0]),
};

/** Round trips that are remembered: a minute and a half at one ping per 5 s, so that drift is followed. */
const REMEMBERED = 18;

interface RoundTrip {
  readonly rttMs: number;
  readonly offsetMs: number;
}

/**
 * The server's clock, seen from here. Of the last round trips the shortest is believed: the answer was made somewhere
 * between sending and receiving, so the error is at most half a round trip, and least on the shortest.
 */
export class ServerClock {
  private trips: RoundTrip[] = [];
  private latestMs = 0;

  /** Adds one round trip: own clock at sending and receiving, server time in the answer; all milliseconds. */
  add(sentMs: number, receivedMs: number, serverMs: number): void {
    const rttMs = Math.max(0, receivedMs - sentMs);
    this.trips.push({ rttMs, offsetMs: serverMs - (sentMs + rttMs / 2) });
    this.trips = this.trips.slice(-REMEMBERED);
  }

  /** Forgets everything: after a reconnect the own clock may have stood still (a laptop that slept). */
  reset(): void {
    this.trips = [];
    this.latestMs = 0;
  }

  /** The shortest remembered round trip, milliseconds; undefined before the first. */
  get rttMs(): number | undefined {
    return this.best()?.rttMs;
  }

  /** Server time minus own clock, milliseconds; undefined before the first round trip. */
  get offsetMs(): number | undefined {
    return this.best()?.offsetMs;
  }

  /** Server time at `nowMs` of the own clock, Unix milliseconds. Never steps back; NaN before the first round trip. */
  at(nowMs: number): number {
    const best = this.best();
    if (best === undefined) return NaN;
    this.latestMs = Math.max(this.latestMs, nowMs + best.offsetMs);
    return this.latestMs;
  }

  private best(): RoundTrip | undefined {
    return this.trips.reduce<RoundTrip | undefined>(
      (best, trip) => (best === undefined || trip.rttMs < best.rttMs ? trip : best),
      undefined,
    );
  }
}
