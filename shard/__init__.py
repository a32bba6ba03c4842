"""The main process: sockets, sessions, the tick clock, the fleet of zone processes, and what is sent to whom."""
