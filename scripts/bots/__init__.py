"""The parts of the bot swarm: cars that drive, views that follow snapshots, referees that compare both.

Pure (no I/O, no clock, no asyncio): ``driver``, ``world_view``, ``rules``, ``truth``, ``referee``, ``cross_check``,
``tally``. Shells: ``connection``, ``bot``, ``fleet``. ``scripts/swarm.py`` is the command.
"""
