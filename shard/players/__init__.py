"""Who is here: sessions, guests, the queue, presence, and what is due from time to time."""
