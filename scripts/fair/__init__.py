"""Honest and dishonest cars against the zone's step: what ``scripts/fairness.py`` is made of."""
