import type { Time } from "./clock.js";
import { CHUNKS_MAX, type ChunkPayload, type ErrorPayload } from "./messages.js";
import { ConnectionLost, RequestRefused } from "./requests.js";

/** Index of a chunk: floor(x / 64), floor(z / 64). */
export type ChunkIndex = readonly [cx: number, cz: number];

/** A chunk that may still be good, by its hash. */
export type KeptChunk = readonly [cx: number, cz: number, hash: string];

/** Sends one `chunks` message and returns its `id`; undefined while there is no connection to send it on. */
export type SendChunks = (want: readonly ChunkIndex[], have: readonly KeptChunk[]) => number | undefined;

/** Chunks kept, the longest unused going first: 64 x 64 of them are more than 4 km x 4 km. */
const KEPT = 4096;

/** A chunk that has not come for so long will not come, milliseconds. */
const PATIENCE_MS = 10_000;

/** A chunk that the shard has sent a moment ago, and that got lost here, is sent again after this, milliseconds. */
const AGAIN_MS = 5_500;

/** Pause after a `rate_limited` that names none, milliseconds. */
const PAUSE_MS = 1_000;

interface Waiting {
  readonly index: ChunkIndex;
  readonly promise: Promise<ChunkPayload>;
  readonly resolve: (chunk: ChunkPayload) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Static chunks of one world, asked for in batches with one message under way at a time. The cache belongs to a world
 * hash and outlives reconnects. When another world turns up, what is here is kept aside: a chunk that is wanted again is
 * only compared, and sent where it differs.
 */
export class ChunkCache {
  private worldHash: string | undefined;
  private readonly cached = new Map<string, ChunkPayload>();
  /** Chunks of the world before this one, not to be shown until the shard has said that they are the same. */
  private old = new Map<string, ChunkPayload>();
  private readonly lost = new Map<string, unknown>();
  private readonly waiting = new Map<string, Waiting>();
  /** Keys in the order in which they are to be asked for. */
  private queue: string[] = [];
  private asked: { readonly id: number; readonly keys: Set<string>; readonly timer: unknown } | undefined;
  private pause: unknown;
  private flushing = false;

  constructor(
    private readonly send: SendChunks,
    private readonly time: Time,
  ) {}

  /** The chunk, if it is here. */
  get(cx: number, cz: number): ChunkPayload | undefined {
    const key = keyOf([cx, cz]);
    const chunk = this.cached.get(key);
    if (chunk !== undefined) {
      this.cached.delete(key);
      this.cached.set(key, chunk);
    }
    return chunk;
  }

  /** The chunk from the cache or the shard. Rejects when the shard refuses it, or does not send it within 10 s. */
  load(cx: number, cz: number): Promise<ChunkPayload> {
    const chunk = this.get(cx, cz);
    if (chunk !== undefined) return Promise.resolve(chunk);
    const key = keyOf([cx, cz]);
    const known = this.waiting.get(key);
    if (known !== undefined) return known.promise;
    let resolve: (chunk: ChunkPayload) => void = () => undefined;
    let reject: (error: Error) => void = () => undefined;
    const promise = new Promise<ChunkPayload>((onChunk, onError) => {
      resolve = onChunk;
      reject = onError;
    });
    this.waiting.set(key, { index: [cx, cz], promise, resolve, reject });
    this.queue.push(key);
    this.flushSoon();
    return promise;
  }

  /** A connection was welcomed to this world: asks for what is still wanted. */
  connected(worldHash: string): void {
    if (this.worldHash !== worldHash && this.cached.size > 0) {
      this.old = new Map(this.cached);
      this.cached.clear();
    }
    this.worldHash = worldHash;
    this.flushSoon();
  }

  /** The connection is gone: what was under way will be asked for again on the next one. */
  disconnected(): void {
    if (this.asked !== undefined) this.queue.unshift(...this.asked.keys);
    this.finish();
  }

  /** The client was closed for good. */
  closed(): void {
    this.disconnected();
    for (const { reject } of this.waiting.values()) reject(new ConnectionLost("the client was closed"));
    this.waiting.clear();
    this.queue = [];
    this.time.stop(this.pause);
    this.pause = undefined;
    for (const timer of this.lost.values()) this.time.stop(timer);
    this.lost.clear();
  }

  /** A `chunk` came. */
  received(chunk: ChunkPayload): void {
    const key = keyOf([chunk.cx, chunk.cz]);
    this.old.delete(key);
    this.cached.delete(key);
    this.cached.set(key, chunk);
    for (const oldest of this.cached.keys()) {
      if (this.cached.size <= KEPT) break;
      this.cached.delete(oldest);
    }
    this.waiting.get(key)?.resolve(chunk);
    this.waiting.delete(key);
    this.queue = this.queue.filter((each) => each !== key);
    this.answered(key);
  }

  /** `chunks_same` came: these are as the shard has them. */
  same(chunks: readonly ChunkIndex[]): void {
    for (const index of chunks) {
      const key = keyOf(index);
      const kept = this.cached.get(key) ?? this.old.get(key);
      if (kept !== undefined) this.received(kept);
      else this.askAgain(key);
    }
  }

  /** An `error` came whose `re` is the `id` of the message under way: the rest of it will not come. */
  refused(id: number, error: ErrorPayload): void {
    if (this.asked?.id !== id) return;
    const keys = [...this.asked.keys];
    if (error.code === "rate_limited") {
      this.queue.unshift(...keys);
      this.pause = this.time.start(() => {
        this.pause = undefined;
        this.flushSoon();
      }, error.retryAfterMs ?? PAUSE_MS);
    } else {
      this.fail(keys, new RequestRefused(error));
    }
    this.finish();
  }

  /** The shard has sent it, but it is not here: the shard will not send it twice in a row. */
  private askAgain(key: string): void {
    if (this.waiting.has(key) && !this.lost.has(key)) {
      const timer = this.time.start(() => {
        this.lost.delete(key);
        if (!this.waiting.has(key) || this.queue.includes(key)) return;
        this.queue.push(key);
        this.flushSoon();
      }, AGAIN_MS);
      this.lost.set(key, timer);
    }
    this.answered(key);
  }

  private answered(key: string): void {
    this.asked?.keys.delete(key);
    if (this.asked?.keys.size === 0) this.finish();
  }

  private finish(): void {
    if (this.asked !== undefined) this.time.stop(this.asked.timer);
    this.asked = undefined;
    this.flushSoon();
  }

  private fail(keys: readonly string[], error: Error): void {
    for (const key of keys) {
      this.waiting.get(key)?.reject(error);
      this.waiting.delete(key);
    }
  }

  /** After the current task, so that a loop of `load` makes one message. */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      this.flush();
    });
  }

  private flush(): void {
    if (this.asked !== undefined || this.pause !== undefined || this.queue.length === 0) return;
    const keys = this.queue.slice(0, CHUNKS_MAX);
    const { want, have } = this.entries(keys);
    const id = this.send(want, have);
    if (id === undefined) return;
    this.queue = this.queue.slice(keys.length);
    const timer = this.time.start(() => {
      const late = [...(this.asked?.keys ?? [])];
      this.fail(late, new Error(`no answer for ${late.length} chunks within ${PATIENCE_MS} ms`));
      this.finish();
    }, PATIENCE_MS);
    this.asked = { id, keys: new Set(keys), timer };
  }

  private entries(keys: readonly string[]): { readonly want: readonly ChunkIndex[]; readonly have: readonly KeptChunk[] } {
    const want: ChunkIndex[] = [];
    const have: KeptChunk[] = [];
    for (const key of keys) {
      const kept = this.old.get(key);
      const waiting = this.waiting.get(key);
      if (kept !== undefined) have.push([kept.cx, kept.cz, kept.hash]);
      else if (waiting !== undefined) want.push(waiting.index);
    }
    return { want, have };
  }
}

function keyOf([cx, cz]: ChunkIndex): string {
  return `${cx},${cz}`;
}
