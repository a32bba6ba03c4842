"""The zone processes and the tick as a barrier: who belongs to which zone, what is committed, who takes over."""
