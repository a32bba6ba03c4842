"""Stocks: the same bytes as the generator, whole or on demand; what is kept on demand is bounded."""

from __future__ import annotations

import pytest

from shard.land.chunk_stock import GROUP, WHOLE_MAX, LazyStock, WholeStock, encoded, hash_of, stock_of
from shared.messages import Chunk, decode_server
from shared.world.chunks import encode, frame, make_chunks
from shared.world.land import Land, land_of
from shared.world.world import World
from tests.fakes.small_world import small_land


@pytest.fixture(scope="module")
def land() -> Land:
    return small_land()


@pytest.fixture(scope="module")
def everything(land: Land) -> list[bytes]:
    return encoded(land, [(cx, cz) for cz in range(land.chunks) for cx in range(land.chunks)])


def test_a_whole_stock_holds_every_chunk_as_the_generator_makes_it(land: Land) -> None:
    stock = WholeStock.of(land)
    assert len(stock) == land.chunks * land.chunks
    assert stock.total_bytes == sum(len(stock.get(cx, cz)) for cz in range(land.chunks) for cx in range(land.chunks))
    for index in [(0, 0), (land.chunks - 1, 0), (3, 7), (land.chunks - 1, land.chunks - 1)]:
        (chunk,) = make_chunks(land, [index])
        assert stock.has(*index)
        assert stock.get(*index) == encode(chunk.payload())
        assert hash_of(stock.get(*index)) == chunk.hash
        message = decode_server(frame(stock.get(*index), None))
        assert isinstance(message, Chunk)
        assert (message.payload.cx, message.payload.cz, message.payload.hash) == (*index, chunk.hash)


def test_a_whole_stock_can_be_made_of_encoded_chunks(land: Land, everything: list[bytes]) -> None:
    stock = WholeStock(land.chunks, iter(everything))
    assert stock.get(5, 2) == everything[2 * land.chunks + 5]
    with pytest.raises(AssertionError, match="rows"):
        WholeStock(land.chunks, everything[1:])


def test_a_lazy_stock_gives_the_same_bytes(land: Land, everything: list[bytes]) -> None:
    stock = LazyStock(land)
    for number, chunk in enumerate(everything):
        assert stock.get(number % land.chunks, number // land.chunks) == chunk
    assert len(stock) == len(everything)
    assert stock.groups_made == (land.chunks // GROUP) ** 2, "a group is made once"


def test_one_look_brings_the_whole_group_and_no_more(land: Land) -> None:
    stock = LazyStock(land)
    stock.get(5, 6)
    here = {(cx, cz) for cx in range(land.chunks) for cz in range(land.chunks) if stock.has(cx, cz)}
    assert here == {(cx, cz) for cx in range(4, 8) for cz in range(4, 8)}


def test_what_is_kept_is_bounded_and_the_longest_unused_goes_first(land: Land) -> None:
    stock = LazyStock(land, kept_bytes_max=60_000)
    for cz in range(land.chunks):
        for cx in range(land.chunks):
            stock.get(cx, cz)
            stock.get(0, 0)
            assert stock.kept_bytes <= 60_000
    assert stock.has(0, 0), "it was used all the time"
    assert not stock.has(1, 1)
    assert stock.kept_bytes == sum(
        len(stock.get(cx, cz)) + 200 for cx in range(land.chunks) for cz in range(land.chunks) if stock.has(cx, cz)
    )


def test_the_chunk_that_is_asked_for_is_given_even_when_nothing_fits(land: Land, everything: list[bytes]) -> None:
    stock = LazyStock(land, kept_bytes_max=1)
    for cx in range(GROUP):
        assert stock.get(cx, 0) == everything[cx]
        assert len(stock) == 1


def test_a_world_off_the_grid_of_groups_ends_where_it_ends() -> None:
    stock = LazyStock(land_of(World("open", 1, 64 * 6)))
    stock.get(5, 5)
    assert len(stock) == 4


def test_the_stock_suits_the_size() -> None:
    assert isinstance(stock_of(land_of(World("open", 1, 1024))), WholeStock)
    assert isinstance(stock_of(land_of(World("open", 1, 129 * 64))), LazyStock)
    assert WHOLE_MAX == 128 * 128
