"""World files: what is read, what is refused and in which words, and what the shipped preset holds."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from shared.vehicles import VEHICLES
from shared.world.entries import KIOSK_KINDS, GarageKiosk, RaceKiosk, TravelKiosk
from shared.world.faults import WorldFault, WorldFileFault
from shared.world.land import Land, land_of
from shared.world.world import World
from shared.world.world_file import FILE_PRESETS, digest, load, load_preset, parse, vehicles
from tests.fakes.small_world import SMALL, small_file, small_text


def test_everything_in_the_file_is_read() -> None:
    world = small_file()
    assert (world.name, world.seed, world.size_m) == ("small", 7, 1024)
    assert world.terrain.relief_m[0][:3] == (60.0, 50.0, 40.0)
    assert world.nodes["cross"] == (512.0, 520.0)
    assert world.roads[0].through == ("north", (540.0, 320.0), "cross", (500.0, 650.0), "south")
    assert [road.smooth for road in world.roads] == [True, False, True]
    race, travel, _, garage, _ = world.kiosks
    assert isinstance(race, RaceKiosk)
    assert race.routes == ("dash", "round")
    assert isinstance(travel, TravelKiosk)
    assert travel.to == ("k-travel-b",)
    assert isinstance(garage, GarageKiosk)
    assert garage.radius_m == 12.0
    assert world.routes[1].laps == 3
    assert world.routes[2].gates[1].left == (700.0, 520.0)
    assert vehicles(world)[0].speed_cap_mps == 60.0


def test_a_world_without_vehicles_has_the_shards() -> None:
    without = small_text().replace(SMALL[SMALL.index("[[vehicles]]") : SMALL.index("[[landmarks]]")], "")
    assert vehicles(parse(without, "f")) == VEHICLES


REFUSED: list[tuple[tuple[str, str], str]] = [
    (("size_m = 1024", "size_m = 1000"), "size_m: is 1000; expected int that's a multiple of 64"),
    (("size_m = 1024", "size_m = 131072"), "size_m: is 131072; expected int <= 65536"),
    (("seed = 7", "seed = -1"), "seed: is -1; expected int >= 0"),
    (("seed = 7", ""), "seed: is missing; add it"),
    (("seed = 7", "seed = 7\nsede = 7"), "sede: is not a key of this table; remove or correct it"),
    (("step_m = 128", "step_m = 100"), "terrain.step_m: 100 does not divide size_m = 1024; use one of 64, 128, 256"),
    (('"wwwwwwff"', '"wwwwwww"'), "terrain.biomes[0]: has 7 entries; give 8"),
    (('"wwwwwwff"', '"wwwwwwfx"'), "terrain.biomes[0]: has 'x' at 7, which no biome has as its letter; use one of f t"),
    (("60,  50,", "60, 900,"), "terrain.relief_m[0][1]: is 900; expected float <= 160.0"),
    (("[ 60,  50,  40,", "[ 60,  50,"), "terrain.relief_m[0]: has 7 entries; give 8"),
    (('letter = "t"', 'letter = "f"'), 'biomes[2].letter: "f" is there twice; choose another'),
    (("pine = 90", "pain = 90"), 'biomes[1].scatter: names "pain", which does not exist; use one of: pine'),
    (("pine = 90", "pine = 150"), "biomes[1].scatter: adds up to more than 156 per hectare; lower the numbers"),
    (("silo = 1", "pine = 1"), 'biomes[2].frontage: names "pine", which does not exist; use one of: house'),
    (("width_m = 12", "width_m = 3"), 'roads[1] (id "wide").width_m: is 3; expected float >= 4.0'),
    (("width_m = 12", 'width_m = "w"'), "roads[1] (id \"wide\").width_m: is 'w'; expected float, got str"),
    (("width_m = 12", "width_m = nan"), 'roads[1] (id "wide").width_m: is nan'),
    (("width_m = 12", "widht_m = 12"), 'roads[1] (id "wide").widht_m: is not a key of this table'),
    (('id = "loop"', 'id = "long"'), 'roads[2].id: "long" is there twice; choose another'),
    (('["west", "cross", "east"]\n\n[[roads', '["west", "nowhere"]\n\n[[roads'), 'roads[1].through: names "nowhere"'),
    (("[540, 320]", "[540]"), 'roads[0] (id "long").through[1]: does not fit; expected array of length 2, got 1'),
    (("[540, 320]", "[540, 1024]"), "roads[0].through[1]: [540, 1024] is off the map; keep both below size_m = 1024"),
    (("[540, 320]", "[501, 121]"), "roads[0].through[1]: is less than 4 m from the one before; remove one of them"),
    (("cross = [512, 520]", "cross = [512, -1]"), "nodes.cross[1]: is -1; expected float >= 0.0"),
    (("cross = [512, 520]", "cross = 512"), "nodes.cross: is 512; expected array, got int"),
    (("cross = [512, 520]", "Cross = [512, 520]"), "nodes.Cross: does not fit; use lower-case letters and digits"),
    (("pine = 90", "pine = 157"), 'biomes[1] (name "wood").scatter.pine: is 157; expected float <= 156.0'),
    (('letter = "t"', 'letter = "tt"'), 'biomes[2] (name "town").letter: is \'tt\'; use one printable character'),
    (("cross = [512, 520]", "cross = [2000, 520]"), "nodes.cross: [2000, 520] is off the map"),
    (("at = [600, 505]", "at = [1024, 505]"), "spawns[0].at: [1024, 505] is off the map"),
    (('id = "top"', 'id = "square"'), 'spawns[1].id: "square" is there twice'),
    (('id = "top"', 'id = "Top"'), 'spawns[1] (id "Top").id: is \'Top\'; use lower-case'),
    (('kind = "garage"', 'kind = "shop"'), 'kiosks[3] (id "k-garage").kind: is \'shop\'; invalid value'),
    (('vehicles = ["car"]', 'vehicles = ["boat"]'), 'kiosks[3].vehicles: names "boat"'),
    (('to = ["k-travel-b"]', 'to = ["k-race"]'), 'kiosks[1].to: names "k-race", which does not exist; use one of: k-'),
    (('to = ["k-travel-b"]', 'to = ["k-travel-a"]'), "kiosks[1].to: leads to the kiosk itself; remove it"),
    (('route = "dash"', 'route = "dish"'), 'kiosks[4].route: names "dish"'),
    (('routes = ["dash", "round"]', "routes = []"), 'kiosks[0] (id "k-race").routes: does not fit; expected array of'),
    (('routes = ["dash", "round"]', 'route = "dash"'), 'kiosks[0] (id "k-race").route: is not a key of this table'),
    (("yaw_deg = 270", "yaw_deg = 360"), 'kiosks[3] (id "k-garage").yaw_deg: is 360; expected float < 360.0'),
    (("laps = 3", "laps = 0"), 'routes[1] (id "round").laps: is 0; expected int >= 1'),
    (('vehicle = "car"', 'vehicle = "kart"'), 'routes[1].vehicle: names "kart", which does not exist; use one of: car'),
    (('path = ["west", "cross", "east"]', ""), "routes[0]: needs either path or gates; give nodes to pass in path"),
    (('path = ["west", "cross", "east"]', 'path = ["west"]'), "routes[0].path: has one node only; name at least two"),
    (('path = ["west", "cross", "east"]', 'path = ["west", "x"]'), 'routes[0].path: names "x"'),
    (("grid_slots = 8", "grid_slots = 8\nlimits = { racers_min = 9 }"), "routes[0].limits: racers_min 9 to"),
    (('{ road = "wide", at_m = 150 }', '{ road = "wide" }'), "routes[2].gates[0]: is given neither by its ends nor"),
    (("right = [700, 542]", "at_m = 4"), "routes[2].gates[1]: is given neither by its ends nor by a road"),
    (("right = [700, 542]", 'right = [700, 542], road = "wide"'), "routes[2].gates[1]: is given neither"),
    (('road = "wide", at_m = 150', 'road = "w", at_m = 150'), 'routes[2].gates[0].road: names "w"'),
    (('kind = "church"', 'kind = "rail"'), 'landmarks[0].kind: names "rail"'),
    (('name = "small"', 'name = "small'), "line 2, column 1"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), REFUSED, ids=[says[:40] for _, says in REFUSED])
def test_a_bad_file_is_refused_by_path_problem_and_fix(change: tuple[str, str], says: str) -> None:
    with pytest.raises(WorldFileFault) as refusal:
        small_file(change)
    text = str(refusal.value)
    assert text.startswith(f"small.toml: {says}"), text
    assert "\n" not in text
    assert "; " in text
    assert "`" not in text
    assert "$" not in text


def test_an_unreadable_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(WorldFault, match=r"nowhere\.toml: cannot be read \(No such file or directory\); give a"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(WorldFault, match=r"latin\.toml: is not UTF-8 text; save it as UTF-8"):
        load(tmp_path / "latin.toml")
    (tmp_path / "good.toml").write_text(SMALL, encoding="utf-8")
    assert load(tmp_path / "good.toml") == small_file()


def test_the_digest_covers_every_value_but_not_the_layout() -> None:
    plain = digest(small_file())
    assert digest(parse(SMALL.replace("\n[nodes]", "\n# where roads meet\n[nodes]"), "f")) == plain
    moved = SMALL.replace("cross = [512, 520]\n", "").replace("hill =", "cross = [512, 520]\nhill =")
    assert digest(parse(moved, "f")) == plain

    edits = 0

    def bent(value: object) -> list[object]:
        """The value with each of its numbers and texts changed, one at a time."""
        if isinstance(value, dict):
            return [value | {key: other} for key in value for other in bent(value[key])]
        if isinstance(value, list):
            return [[*value[:at], other, *value[at + 1 :]] for at in range(len(value)) for other in bent(value[at])]
        return [] if isinstance(value, (bool, str)) else [value - 1]  # type: ignore[operator]

    digests = {plain}
    for raw in bent(tomllib.loads(SMALL)):
        try:
            digests.add(digest(msgspec.convert(raw, type(small_file()))))
        except msgspec.ValidationError:
            continue  # a bound, like 0 <= yaw_deg
        edits += 1
    assert edits > 130
    assert len(digests) == edits + 1


def test_a_world_of_a_file_is_named_by_its_content_and_seed() -> None:
    file = small_file()
    world = World.of_file(file)
    assert (world.preset, world.seed, world.size_m) == ("small", 7, 1024)
    assert World.of_file(file) == world
    assert World.of_file(file, 8).hash != world.hash
    assert World.of_file(small_file(("at = [560, 600]", "at = [561, 600]"))).hash != world.hash
    assert World.of_file(file, 8).seed == 8


def test_arrivals_stand_apart_within_their_spawn_point_and_take_turns() -> None:
    world = World.of_file(small_file())
    poses = [world.spawn(number) for number in range(18)]
    assert len({(pose.x, pose.z) for pose in poses}) == 18
    for number, pose in enumerate(poses):
        x, z = small_file().spawns[number % 2].at
        assert (pose.x - x) ** 2 + (pose.z - z) ** 2 <= 12.0**2
        assert pose.yaw == (1.571, 0.0)[number % 2]
    assert world.spawn(18) == poses[0]
    assert world.spawn(2**40) == world.spawn(2**40)


class TestHarbour:
    def test_it_is_a_preset_with_a_size_of_its_own(self) -> None:
        assert FILE_PRESETS == ("harbour",)
        world = World("harbour", 1, 4096)
        assert world.content is not None
        assert World("harbour", 2, 4096).hash != world.hash
        with pytest.raises(WorldFault, match="world size: harbour is 4096 m, not 1024; leave the size out"):
            World("harbour", 1, 1024)

    def test_it_has_what_was_asked_for(self) -> None:
        file = load_preset("harbour")
        kinds = Counter(str(kiosk.__struct_config__.tag) for kiosk in file.kiosks)
        assert set(kinds) == set(KIOSK_KINDS)
        assert min(kinds.values()) >= 6
        assert len(file.routes) == 5
        land = self.land()
        lengths = sorted(route.length_m for route in land.routes)
        assert 600.0 <= lengths[0] <= 700.0
        assert 12_000.0 <= lengths[-1] <= 12_500.0
        assert {vehicle.name for vehicle in vehicles(file)} == {vehicle.name for vehicle in VEHICLES}

    @staticmethod
    def land() -> Land:
        return land_of(World("harbour", 1, 4096))
