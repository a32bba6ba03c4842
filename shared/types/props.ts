/**
 * How big and how solid each kind of prop is, in metres at scale 1: what the shard takes for an obstacle.
 *
 * `circle`: a disc of `halfWidthM`. `box`: `halfWidthM` to both sides and `halfDepthM` before and behind, facing its
 * yaw. `wall`: a line of `halfDepthM` before and behind, without thickness. `none`: can be driven through.
 */
export interface PropShape {
  readonly shape: "none" | "circle" | "box" | "wall";
  readonly halfWidthM: number;
  readonly halfDepthM: number;
  readonly heightM: number;
}

/** By `kind` of a chunk's props. A client meets kinds that it does not know with care: worlds may gain some. */
export const PROP_SHAPES: Readonly<Record<string, PropShape>> = {
  pine: { shape: "circle", halfWidthM: 0.35, halfDepthM: 0.35, heightM: 14 },
  oak: { shape: "circle", halfWidthM: 0.5, halfDepthM: 0.5, heightM: 11 },
  birch: { shape: "circle", halfWidthM: 0.25, halfDepthM: 0.25, heightM: 10 },
  rock: { shape: "circle", halfWidthM: 1, halfDepthM: 1, heightM: 1.4 },
  boulder: { shape: "circle", halfWidthM: 2.2, halfDepthM: 2.2, heightM: 3 },
  bush: { shape: "none", halfWidthM: 0.8, halfDepthM: 0.8, heightM: 1.2 },
  reed: { shape: "none", halfWidthM: 0.5, halfDepthM: 0.5, heightM: 1.6 },
  house: { shape: "box", halfWidthM: 5, halfDepthM: 4, heightM: 7 },
  terrace: { shape: "box", halfWidthM: 8, halfDepthM: 5, heightM: 9 },
  block: { shape: "box", halfWidthM: 10, halfDepthM: 7, heightM: 18 },
  tower: { shape: "box", halfWidthM: 9, halfDepthM: 9, heightM: 40 },
  shop: { shape: "box", halfWidthM: 7, halfDepthM: 5, heightM: 5 },
  warehouse: { shape: "box", halfWidthM: 17, halfDepthM: 10, heightM: 10 },
  barn: { shape: "box", halfWidthM: 8, halfDepthM: 5, heightM: 8 },
  silo: { shape: "circle", halfWidthM: 3, halfDepthM: 3, heightM: 14 },
  rail: { shape: "wall", halfWidthM: 0.2, halfDepthM: 2, heightM: 0.8 },
  barrier: { shape: "wall", halfWidthM: 0.3, halfDepthM: 2, heightM: 1 },
  lighthouse: { shape: "circle", halfWidthM: 4, halfDepthM: 4, heightM: 28 },
  church: { shape: "box", halfWidthM: 6, halfDepthM: 14, heightM: 32 },
  crane: { shape: "box", halfWidthM: 6, halfDepthM: 6, heightM: 45 },
  mast: { shape: "circle", halfWidthM: 1.5, halfDepthM: 1.5, heightM: 60 },
  windmill: { shape: "circle", halfWidthM: 3, halfDepthM: 3, heightM: 22 },
  stack: { shape: "box", halfWidthM: 6.1, halfDepthM: 2.5, heightM: 7.8 },
};
