"""How players come in: sockets, handshake, limits, keys and tokens."""
