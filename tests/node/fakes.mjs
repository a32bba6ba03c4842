/** A clock that moves only when told, and a socket whose other end is the test. */

export class FakeTime {
  nowMs = 1_000;
  timers = new Set();

  now() {
    return this.nowMs;
  }

  start(run, delayMs) {
    const timer = { run, dueMs: this.nowMs + delayMs };
    this.timers.add(timer);
    return timer;
  }

  stop(timer) {
    this.timers.delete(timer);
  }

  /** Runs everything that falls due within `ms`, in order, with pending promises settled in between. */
  async advance(ms) {
    const endMs = this.nowMs + ms;
    await settled();
    for (;;) {
      const due = [...this.timers].filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.nowMs = Math.max(this.nowMs, due.dueMs);
      due.run();
      await settled();
    }
    this.nowMs = endMs;
  }
}

/** Lets all promises that can settle do so. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A class of sockets that remembers each one that was opened, newest last. */
export function fakeSockets() {
  return class FakeSocket {
    static opened = [];
    sent = [];
    closedWith = undefined;
    answersPings = true;
    listeners = { open: [], message: [], close: [], error: [] };

    constructor(url) {
      this.url = url;
      FakeSocket.opened.push(this);
    }

    static get newest() {
      return FakeSocket.opened.at(-1);
    }

    addEventListener(name, listener) {
      this.listeners[name].push(listener);
    }

    send(text) {
      const message = JSON.parse(text);
      this.sent.push(message);
      const pong = { type: "pong", payload: { t: message.payload.t, serverTimeMs: 5_000_000 } };
      if (message.type === "ping" && this.answersPings) queueMicrotask(() => this.deliver(pong));
    }

    close(code) {
      this.closedWith = code;
    }

    /** The other end. */
    accept() {
      for (const listener of this.listeners.open) listener();
    }

    deliver(message) {
      for (const listener of this.listeners.message) listener({ data: JSON.stringify(message) });
    }

    end(code) {
      for (const listener of this.listeners.close) listener({ code });
    }

    /** What was sent, of one type. */
    of(type) {
      return this.sent.filter((message) => message.type === type);
    }
  };
}

export function welcome(changes = {}) {
  return {
    type: "welcome",
    payload: {
      player: "p",
      session: "s",
      protocol: 1,
      tickHz: 20,
      serverTimeMs: 5_000_000,
      expiresAtMs: 8_600_000,
      resumed: false,
      world: { preset: "open", seed: 1, sizeM: 4096, chunkM: 64, hash: "h1" },
      zones: [[0, 0, 4096, 4096]],
      limits: { movesPerSecond: 30, messageBytes: 16384, chunksPerMessage: 32, chunksPerSecond: 25, chunksReach: 6 },
      ...changes,
    },
  };
}

export function placed(changes = {}) {
  return {
    type: "placed",
    payload: { epoch: 1, slot: 5, x: 10, y: 0, z: 20, yaw: 0, tick: 3, reason: "enter", ...changes },
  };
}

export const lobby = { type: "lobby", payload: { reason: "welcome", online: 1, capacity: 10 } };
