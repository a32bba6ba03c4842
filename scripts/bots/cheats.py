"""All cheats at once against one shard: a client per technique, honest drivers beside them, and non-numbers."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Final

from scripts.bots import cheat
from scripts.bots.cheat import CheatBot, Outcome
from scripts.bots.gate_cheat import GATE_CHEATS, GateCheatBot
from scripts.fair.techniques import TECHNIQUES, UNSPEAKABLE, Honest, Technique
from scripts.mint_token import mint
from shared.vehicles import VEHICLES
from shared.world.land import Land

TOKEN_S: Final = 3600.0
UNSPEAKABLE_EVERY_S: Final = 0.5


async def cheat_all(
    url: str,
    secret: str,
    issuer: str,
    audience: str,
    seconds: float,
    seed: int,
    land: Land | None = None,
    route: str | None = None,
) -> list[Outcome]:
    """One cheat per technique, and honest drivers to compare with, all at once for ``seconds`` after the warm-up.

    ``land`` is the world of the shard, if it is none that its name says all about; ``route`` is where to race.
    """
    rng = random.Random(f"cheats/{seed}")
    until_s = time.perf_counter() + cheat.WARM_UP_S + seconds
    texts = dict(UNSPEAKABLE)
    techniques = [Technique("honest", Honest), *TECHNIQUES, *(Technique(name, Honest) for name in texts)]
    jobs = []
    for number, name in enumerate([*(each.name for each in techniques), *GATE_CHEATS]):
        player = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        token = mint(secret, player, time.time(), seconds + TOKEN_S, iss=issuer, aud=audience)
        car, vehicle = f"cheat-{number:02d}", VEHICLES[0]
        if name in GATE_CHEATS:
            racing = GateCheatBot(name, vehicle, token, car, player, random.Random(f"{seed}/{name}"), land, route)
            jobs.append(racing.run(url, until_s))
            continue
        bot = CheatBot(techniques[number], vehicle, token, car, player, land)
        jobs.append(_unspeakable(bot, url, until_s, texts[name]) if name in texts else bot.run(url, until_s))
    return list(await asyncio.gather(*jobs))


async def _unspeakable(bot: CheatBot, url: str, until_s: float, text: str) -> Outcome:
    """Run a bot that now and then says ``text`` where a coordinate belongs."""

    async def say() -> None:
        await asyncio.sleep(cheat.WARM_UP_S / 2)
        while True:
            payload = f'"epoch":1,"seq":2,"t":3,"x":{text},"z":1,"yaw":0,"vx":0,"vz":0'
            if bot.send_raw(f'{{"type":"move","payload":{{{payload}}}}}'.encode()):
                bot.deed()
            await asyncio.sleep(UNSPEAKABLE_EVERY_S)

    saying = asyncio.create_task(say())
    try:
        return await bot.run(url, until_s)
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
