"""Moving bytes between the processes of one shard: blocks and pipes. No game rules, no asyncio."""
