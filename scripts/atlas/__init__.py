"""Maps of a world: what check_world draws."""
