import type { Time } from "./clock.js";
import type { ErrorCode, ErrorPayload, ServerMessage } from "./messages.js";

/** The shard answered with `error`. */
export class RequestRefused extends Error {
  override readonly name = "RequestRefused";
  readonly code: ErrorCode;
  /** Not before, milliseconds from now; undefined when the shard named none. */
  readonly retryAfterMs: number | undefined;

  constructor(error: ErrorPayload) {
    super(`${error.code}: ${error.message}`);
    this.code = error.code;
    this.retryAfterMs = error.retryAfterMs;
  }
}

/** There is no connection, or it went away before the answer came. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

/** Largest `id`; then it starts again. */
const ID_MAX = 2 ** 31 - 1;

/** How long a reply may take, milliseconds. */
const PATIENCE_MS = 15_000;

interface Pending {
  readonly resolve: (message: ServerMessage) => void;
  readonly reject: (error: Error) => void;
  readonly timer: unknown;
}

/** Numbers messages and finds the request that a reply belongs to. */
export class Requests {
  private lastId = 0;
  private readonly pending = new Map<number, Pending>();

  constructor(private readonly time: Time) {}

  /** A number for a message, unused for as long as anyone could wait. */
  nextId(): number {
    this.lastId = this.lastId >= ID_MAX ? 1 : this.lastId + 1;
    return this.lastId;
  }

  /** The first message that answers `id`. Rejects with RequestRefused for an `error`, ConnectionLost otherwise. */
  reply(id: number): Promise<ServerMessage> {
    return new Promise((resolve, reject) => {
      const timer = this.time.start(() => {
        this.pending.delete(id);
        reject(new ConnectionLost(`no answer within ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      this.pending.set(id, { resolve, reject, timer });
    });
  }

  /** A message came: settles the request that it answers, if there is one. */
  settle(message: ServerMessage): void {
    const re = "re" in message ? message.re : undefined;
    const pending = re === undefined ? undefined : this.pending.get(re);
    if (re === undefined || pending === undefined) return;
    this.pending.delete(re);
    this.time.stop(pending.timer);
    if (message.type === "error") pending.reject(new RequestRefused(message.payload));
    else pending.resolve(message);
  }

  /** The connection is gone: no answer will come. */
  abandon(): void {
    for (const { reject, timer } of this.pending.values()) {
      this.time.stop(timer);
      reject(new ConnectionLost("the connection closed before the answer came"));
    }
    this.pending.clear();
  }
}
