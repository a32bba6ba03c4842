import { type ClientMessage, MESSAGE_FIELDS, type ServerMessage } from "./messages.js";

/** One message as the text of a frame. */
export function encode(message: ClientMessage): string {
  return JSON.stringify(message);
}

/**
 * Reads a frame of the server. Null for a type that this version does not know, or one whose payload lacks a field that
 * this version needs: such frames are to be ignored. Values are trusted; unknown keys stay in place, unseen.
 */
export function decodeServer(text: unknown): ServerMessage | null {
  if (typeof text !== "string") return null;
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  return isServerMessage(message) ? message : null;
}

function isServerMessage(message: unknown): message is ServerMessage {
  if (!isObject(message) || typeof message["type"] !== "string" || !isObject(message["payload"])) return false;
  const payload = message["payload"];
  const fields: Readonly<Record<string, readonly string[]>> = MESSAGE_FIELDS.server;
  if (!Object.hasOwn(fields, message["type"])) return false;
  return (fields[message["type"]] ?? []).every((field) => field.endsWith("?") || field in payload);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
