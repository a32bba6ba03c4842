"""The vocabulary of the shard: what every process and every client agrees on. Imports nothing of ours."""
