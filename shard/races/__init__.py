"""Races across the whole world: reducer, standings, receipts."""
