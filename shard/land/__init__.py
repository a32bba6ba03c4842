"""The static world and what stands in it: chunks, kiosks, signals."""
