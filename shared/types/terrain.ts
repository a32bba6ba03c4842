/**
 * The ground of a chunk, to the centimetre: the same numbers as the shard's, from the same 32-bit integer arithmetic.
 *
 * Heights are whole centimetres above the sea; ground below 0 is under water. `Math.imul` multiplies modulo 2^32, `| 0`
 * and `>>` keep every other number within 31 bits, and whole numbers are divided only when neither is negative. No
 * floating-point result is ever rounded, so every browser agrees with the shard and with every other.
 */

import type { ChunkPayload } from "./messages.js";

/** What a chunk's ground is made of: any `chunk` payload is one. Metres; x, z, width and y of roads are whole centimetres. */
export type GroundSource = Pick<ChunkPayload, "cx" | "cz" | "seed" | "ground" | "roads">;

/** A point of a road. */
export type RoadPost = ChunkPayload["roads"][number][number];

/** What a chunk's hash is made of: all of a `chunk` payload but the hash. */
export type HashedChunk = Omit<ChunkPayload, "hash">;

/** Edge of a chunk, centimetres. */
const CHUNK_CM = 6400;
/** Lattice of each octave of the bumps: 2^14 cm is 164 m. Their weights add up to 31. */
const OCTAVES = [
  { bits: 14, weight: 18 },
  { bits: 13, weight: 8 },
  { bits: 12, weight: 4 },
  { bits: 11, weight: 1 },
] as const;
const OCTAVE_STEP = 0x9e3779b9;
/** Bumps at sea level, centimetres, up and down; an eighth of the height comes on top. */
const BUMP_BASE_CM = 60;
/** Beside a road the ground stays level so far, then passes into the relief up to the end of the verge, centimetres. */
const SHOULDER_CM = 100;
const VERGE_CM = 1200;

interface Piece {
  readonly ax: number;
  readonly az: number;
  readonly dx: number;
  readonly dz: number;
  readonly ya: number;
  readonly dy: number;
  readonly length2: number;
  /** Squares of where the shoulder and the verge end, in sixteenths of a square centimetre. */
  readonly inner2: number;
  readonly outer2: number;
}

/** The ground of one chunk, its edges included. */
export class ChunkGround {
  private readonly seed: number;
  private readonly west: number;
  private readonly north: number;
  private readonly stepCm: number;
  private readonly roughness: number;
  private readonly nine: readonly number[];
  /** The north-west corner of the chunk's relief square, centimetres. */
  private readonly squareX: number;
  private readonly squareZ: number;
  private readonly pieces: readonly Piece[];

  constructor(source: GroundSource) {
    const [stepM = 0, roughness = 0, ...nine] = source.ground;
    if (nine.length !== 9 || stepM <= 0) throw new RangeError(`ground has ${source.ground.length} numbers, not 11`);
    this.seed = source.seed | 0;
    this.west = source.cx * CHUNK_CM;
    this.north = source.cz * CHUNK_CM;
    this.stepCm = stepM * 100;
    this.roughness = roughness;
    this.nine = nine;
    this.squareX = this.west - (this.west % this.stepCm);
    this.squareZ = this.north - (this.north % this.stepCm);
    this.pieces = source.roads.flatMap(piecesOf);
  }

  /** Height at a point of the chunk in metres, to the nearest centimetre; the result is in metres. */
  height(x: number, z: number): number {
    return this.heightCm(Math.floor(x * 100 + 0.5), Math.floor(z * 100 + 0.5)) / 100;
  }

  /** Height at a point in whole centimetres. Throws RangeError off the chunk: its numbers say nothing about that. */
  heightCm(xCm: number, zCm: number): number {
    const [x, z] = [xCm - this.west, zCm - this.north];
    if (!(x >= 0 && x <= CHUNK_CM && z >= 0 && z <= CHUNK_CM)) throw new RangeError("the point is not on this chunk");
    const sheet = this.sheetCm(xCm, zCm);
    const bump = ((this.roughness * (BUMP_BASE_CM + (Math.abs(sheet) >> 3))) / 100) | 0;
    const base = sheet + ((bumps(this.seed, xCm, zCm) * bump) >> 15);
    return this.pieces.length === 0 ? base : this.withRoads(base, xCm, zCm);
  }

  /** The smooth sheet over the nine heights: a quadratic B-spline, weights of 4096. */
  private sheetCm(xCm: number, zCm: number): number {
    const [w0, w1, w2] = this.weights(xCm - this.squareX);
    const [n0, n1, n2] = this.weights(zCm - this.squareZ);
    const row = (first: number): number =>
      (w0 * (this.nine[first] ?? 0) + w1 * (this.nine[first + 1] ?? 0) + w2 * (this.nine[first + 2] ?? 0)) >> 8;
    return (n0 * row(0) + n1 * row(3) + n2 * row(6)) >> 16;
  }

  private weights(offCm: number): readonly [number, number, number] {
    const t = ((offCm << 12) / this.stepCm) | 0;
    const rest = 4096 - t;
    const [before, after] = [(rest * rest) >> 13, (t * t) >> 13];
    return [before, 4096 - before - after, after];
  }

  /** On a road its own height, on the verge in between; of several roads the nearest counts most. */
  private withRoads(base: number, xCm: number, zCm: number): number {
    const found: { readonly distance2: number; readonly roadCm: number; readonly cover: number }[] = [];
    let [nearest, most] = [0x7fffffff, 0];
    for (const piece of this.pieces) {
      const [px, pz] = [xCm - piece.ax, zCm - piece.az];
      const along = Math.min(Math.max((px * piece.dx + pz * piece.dz) | 0, 0), piece.length2);
      const first = ((along << 7) / piece.length2) | 0;
      const rest = (along << 7) - Math.imul(first, piece.length2);
      const share = (first << 7) + (((rest << 7) / piece.length2) | 0);
      const offX = px - ((piece.dx * share) >> 14);
      const offZ = pz - ((piece.dz * share) >> 14);
      const distance2 = offX * offX + offZ * offZ;
      const room = piece.outer2 - piece.inner2;
      const left = Math.min(Math.max(piece.outer2 - (distance2 >> 4), 0), room);
      const cover = ((left << 10) / room) | 0;
      if (cover === 0) continue;
      found.push({ distance2, roadCm: piece.ya + ((piece.dy * share) >> 14), cover });
      nearest = Math.min(nearest, distance2);
      most = Math.max(most, cover);
    }
    if (found.length === 0) return base;
    const band = (nearest >> 1) + 1;
    let [total, weights] = [0, 0];
    for (const { distance2, roadCm, cover } of found) {
      const close = Math.max((((nearest + band - distance2) << 8) / band) | 0, 0);
      const weight = (close * cover + 1023) >> 10;
      total += weight * roadCm;
      weights += weight;
    }
    const share = (((most * most) >> 4) * (3072 - 2 * most)) >> 16;
    return base + (((((total / weights) | 0) - base) * share) >> 10);
  }
}

function piecesOf(road: readonly RoadPost[]): Piece[] {
  const pieces: Piece[] = [];
  for (let index = 1; index < road.length; index++) {
    const [from, to] = [road[index - 1], road[index]];
    if (from === undefined || to === undefined) continue;
    const [ax, az, ya] = [cm(from[0]), cm(from[1]), cm(from[3])];
    const [dx, dz, dy] = [cm(to[0]) - ax, cm(to[1]) - az, cm(to[3]) - ya];
    const half = cm(from[2]) >> 1;
    const [inner, outer] = [half + SHOULDER_CM, half + VERGE_CM];
    const [inner2, outer2] = [(inner * inner) >> 4, (outer * outer) >> 4];
    pieces.push({ ax, az, dx, dz, ya, dy, length2: dx * dx + dz * dz, inner2, outer2 });
  }
  return pieces;
}

/** The finalizer of MurmurHash3. */
function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}

/** 16 random bits of a lattice point, as -32768 .. 32767. */
function lattice(seed: number, x: number, z: number): number {
  const first = mix(seed ^ Math.imul(x, 0x9e3779b1));
  return (mix(first ^ Math.imul(z, 0x85ebca77)) >>> 16) - 32768;
}

/** f^2 (3 - 2 f) of the fraction `rest / 2^bits`, both with 12 bits. */
function ease(rest: number, bits: number): number {
  const fraction = bits >= 12 ? rest >> (bits - 12) : rest << (12 - bits);
  return (((fraction * fraction) >> 8) * (12288 - 2 * fraction)) >> 16;
}

function between(start: number, end: number, share: number): number {
  return start + (((end - start) * share) >> 12);
}

/** Smooth noise in -32768 .. 32767 over a lattice with an edge of 2^bits centimetres. */
function valueNoise(seed: number, xCm: number, zCm: number, bits: number): number {
  const [x, z, mask] = [xCm >> bits, zCm >> bits, (1 << bits) - 1];
  const [across, down] = [ease(xCm & mask, bits), ease(zCm & mask, bits)];
  const north = between(lattice(seed, x, z), lattice(seed, x + 1, z), across);
  const south = between(lattice(seed, x, z + 1), lattice(seed, x + 1, z + 1), across);
  return between(north, south, down);
}

/** All octaves together; every other one has its lattice turned by 45 degrees. */
function bumps(seed: number, xCm: number, zCm: number): number {
  let total = 0;
  OCTAVES.forEach(({ bits, weight }, number) => {
    const turned = number % 2 === 1;
    const [x, z] = turned ? [xCm + zCm, xCm - zCm] : [xCm, zCm];
    total += valueNoise((seed + Math.imul(number, OCTAVE_STEP)) | 0, x, z, bits) * weight;
  });
  return (total * 33) >> 10;
}

/**
 * The hash of a chunk, from what came: 16 hex digits, equal to its `hash`. Recompute it to know that a cached chunk is
 * still the one that the shard means.
 */
export function chunkHash(chunk: HashedChunk): string {
  const words = wordsOf(chunk);
  return HASH_LANES.map((lane) => {
    let total = 0;
    words.forEach((word, place) => {
      total = (total + mix(word ^ mix((place + lane) | 0))) | 0;
    });
    return (mix(total ^ words.length) >>> 0).toString(16).padStart(8, "0");
  }).join("");
}

const HASH_LANES = [0x243f6a88, 0x85a308d3] as const;
const HASH_VERSION = 1;

function wordsOf(chunk: HashedChunk): number[] {
  const words = [HASH_VERSION, chunk.cx, chunk.cz, chunk.seed, textWord(chunk.biome)];
  words.push(chunk.ground.length, ...chunk.ground, chunk.props.length);
  for (const [kind, x, y, z, yaw, scale] of chunk.props) {
    words.push(textWord(kind), cm(x), cm(y), cm(z), milli(yaw), cm(scale));
  }
  words.push(chunk.roads.length);
  for (const road of chunk.roads) {
    words.push(road.length);
    for (const [x, z, width, y] of road) words.push(cm(x), cm(z), cm(width), cm(y));
  }
  words.push(chunk.kiosks.length);
  for (const { kiosk, kind, x, z, yaw, radiusM } of chunk.kiosks) {
    words.push(textWord(kiosk), textWord(kind), cm(x), cm(z), milli(yaw), cm(radiusM));
  }
  words.push(chunk.gates.length);
  for (const { route, gate, ax, az, bx, bz } of chunk.gates) {
    words.push(textWord(route), gate, cm(ax), cm(az), cm(bx), cm(bz));
  }
  return words;
}

/** A name as a 32-bit word: FNV-1a over its UTF-8 bytes. */
function textWord(text: string): number {
  let value = 0x811c9dc5 | 0;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value;
}

/** Metres that stand for whole centimetres, and factors for whole per cent. */
function cm(metres: number): number {
  return Math.floor(metres * 100 + 0.5);
}

function milli(radians: number): number {
  return Math.floor(radians * 1000 + 0.5);
}
