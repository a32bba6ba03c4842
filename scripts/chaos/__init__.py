"""Everything that can go wrong at once, under strict bots and running races, and the verdict on what it cost whom."""
