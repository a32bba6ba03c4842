/** The wire contract of the shard and a client for it, without dependencies. PROTOCOL.md says what messages mean. */

export * from "./chunks.js";
export * from "./client.js";
export * from "./clock.js";
export * from "./codec.js";
export * from "./connection.js";
export * from "./emitter.js";
export * from "./entities.js";
export * from "./interpolation.js";
export * from "./messages.js";
export * from "./moves.js";
export * from "./reconnect.js";
export * from "./requests.js";
export * from "./props.js";
export * from "./terrain.js";
