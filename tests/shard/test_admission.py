"""Who may open a socket, by address and in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from http import HTTPStatus

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shard.access.admission import Admission, AdmissionLimits, Admitted, Refusal, Ticket, client_address, parse_proxy

WIDE = AdmissionLimits(connections_max=1000)
PROXIES = [parse_proxy("10.0.0.0/8"), parse_proxy("2001:db8:ffff::/48"), parse_proxy("127.0.0.1")]


def admitted(verdict: Admitted | Refusal) -> Ticket:
    assert isinstance(verdict, Admitted), verdict
    return verdict.ticket


def refused(verdict: Admitted | Refusal | None) -> tuple[int, int]:
    assert isinstance(verdict, Refusal)
    return verdict.status.value, verdict.retry_after_s


def spoken(admission: Admission, peer: str, now_s: float) -> Ticket:
    ticket = admitted(admission.arrive(peer, now_s))
    admission.spoke(ticket)
    return ticket


# --- limits --------------------------------------------------------------------------------------------------------


def test_twenty_sockets_of_one_address_at_a_time() -> None:
    admission = Admission(WIDE)
    tickets = [spoken(admission, "203.0.113.9", now_s) for now_s in range(20)]
    assert refused(admission.arrive("203.0.113.9", 100.0)) == (429, 10)
    admitted(admission.arrive("203.0.113.8", 100.0))
    admission.leave(tickets[3])
    admitted(admission.arrive("203.0.113.9", 100.0))


def test_new_sockets_of_one_address_per_second() -> None:
    admission = Admission(WIDE)
    for _ in range(20):
        admission.leave(spoken(admission, "203.0.113.9", 50.0))
    assert refused(admission.arrive("203.0.113.9", 50.0)) == (429, 1)
    admitted(admission.arrive("203.0.113.8", 50.0))
    admitted(admission.arrive("203.0.113.9", 50.2))
    assert refused(admission.arrive("203.0.113.9", 50.2)) == (429, 1)


def test_a_slow_rate_tells_how_long_to_wait() -> None:
    admission = Admission(replace(WIDE, arrivals_per_s=0.1, arrivals_burst=1))
    admitted(admission.arrive("203.0.113.9", 0.0))
    assert refused(admission.arrive("203.0.113.9", 0.5)) == (429, 10)


def test_eight_silent_sockets_of_one_address() -> None:
    admission = Admission(WIDE)
    tickets = [admitted(admission.arrive("203.0.113.9", 0.0)) for _ in range(8)]
    assert refused(admission.arrive("203.0.113.9", 0.0)) == (429, 5)
    admission.spoke(tickets[0])
    admitted(admission.arrive("203.0.113.9", 0.0))
    assert refused(admission.arrive("203.0.113.9", 0.0)) == (429, 5)
    admission.leave(tickets[1])
    admitted(admission.arrive("203.0.113.9", 0.0))


def test_the_oldest_silent_socket_gives_way_to_the_newest() -> None:
    admission = Admission(replace(WIDE, silent_max=3))
    tickets = [admitted(admission.arrive(f"203.0.113.{number}", 0.0)) for number in range(3)]
    admission.spoke(tickets[0])
    verdict = admission.arrive("203.0.113.3", 0.0)
    assert isinstance(verdict, Admitted)
    assert verdict.drop is None, "two are silent"
    verdict = admission.arrive("203.0.113.4", 0.0)
    assert isinstance(verdict, Admitted)
    assert verdict.drop is tickets[1], "the oldest of those that are silent"
    assert (admission.silent, admission.connections) == (3, 4)
    admission.spoke(tickets[1])  # its token arrives too late
    admission.leave(tickets[1])
    assert (admission.silent, admission.connections) == (3, 4)


def test_a_flood_of_one_address_never_makes_others_give_way() -> None:
    admission = Admission(replace(WIDE, silent_max=10))
    honest = admitted(admission.arrive("203.0.113.1", 0.0))
    for _ in range(1000):
        verdict = admission.arrive("203.0.113.9", 0.0)
        assert isinstance(verdict, Refusal) or verdict.drop is None
    assert admission.silent == 9
    admission.spoke(honest)


def test_the_shard_is_full() -> None:
    admission = Admission(replace(WIDE, connections_max=2, silent_max=1))
    first = spoken(admission, "203.0.113.1", 0.0)
    spoken(admission, "203.0.113.2", 0.0)
    assert refused(admission.arrive("203.0.113.3", 0.0)) == (503, 5)
    assert admission.addresses == 2, "who is refused by a full shard leaves no trace"
    admission.leave(first)
    admitted(admission.arrive("203.0.113.3", 0.0))


def test_draining() -> None:
    admission = Admission(WIDE, PROXIES)
    ticket = admitted(admission.arrive("203.0.113.1", 0.0))
    admission.draining = True
    assert refused(admission.arrive("203.0.113.2", 0.0)) == (503, 5)
    assert refused(admission.identify(ticket, [], 0.0)) == (503, 5)
    assert admission.connections == 1


def test_leaving_and_speaking_twice_counts_once() -> None:
    admission = Admission(WIDE)
    tickets = [admitted(admission.arrive("203.0.113.9", 0.0)) for _ in range(2)]
    for _ in range(2):
        admission.spoke(tickets[0])
        admission.leave(tickets[0])
        admission.leave(tickets[0])
        admission.spoke(tickets[0])
    assert (admission.connections, admission.silent) == (1, 1)


@pytest.mark.parametrize(
    ("peer", "exempt"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("203.0.113.9", False)],
)
def test_loopback_is_exempt_by_flag_only(peer: str, exempt: bool) -> None:
    for flag in (False, True):
        admission = Admission(replace(WIDE, exempt_loopback=flag, connections_max=50))
        count = sum(isinstance(admission.arrive(peer, 0.0), Admitted) for _ in range(100))
        assert count == (50 if flag and exempt else 8)


def test_the_answer_as_bytes() -> None:
    head, body = Refusal(HTTPStatus.TOO_MANY_REQUESTS, 7, "too many").response().split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 429 Too Many Requests"
    assert {b"Retry-After: 7", b"Connection: close", b"Content-Length: %d" % len(body)} <= set(lines)
    assert body == b"too many\n"


def test_a_limit_of_nothing_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="admits nobody"):
        AdmissionLimits(connections_max=10, silent_max=0)


# --- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("/run/shard.sock", "unknown"),
    ],
)
def test_what_an_address_is_counted_as(peer: str, shown: str) -> None:
    assert admitted(Admission(WIDE).arrive(peer, 0.0)).address == shown


def test_a_whole_64_counts_as_one_address() -> None:
    admission = Admission(WIDE)
    for number in range(8):
        admitted(admission.arrive(f"2001:db8:1:2::{number:x}", 0.0))
    assert refused(admission.arrive("2001:db8:1:2:ffff::", 0.0)) == (429, 5)
    admitted(admission.arrive("2001:db8:1:3::", 0.0))


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: not believed
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the first is the client's invention
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9, 10.1.1.1,127.0.0.1"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8:1:2::3]:4711"], "2001:db8:1:2::3"),
        ("10.0.0.1", ["2001:db8:1:2::3"], "2001:db8:1:2::3"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ffff::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["x" * 100_000 + ",203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9," + "10.0.0.2," * 5000 + "10.0.0.3"], "10.0.0.2"),  # no end of proxies: given up
    ],
)
def test_whose_a_socket_is_behind_proxies(peer: str, headers: list[str], client: str) -> None:
    admission = Admission(WIDE, PROXIES)
    ticket = admitted(admission.arrive(peer, 0.0))
    assert admission.identify(ticket, headers, 0.0) is None
    assert ticket.address == (client if "." in client else "2001:db8:1:2::/64")


def test_clients_of_a_proxy_are_limited_one_by_one() -> None:
    admission = Admission(WIDE, PROXIES)
    for number in range(100):
        ticket = admitted(admission.arrive("10.0.0.1", 0.0))
        refusal = admission.identify(ticket, ["203.0.113.9" if number < 50 else f"198.51.100.{number}"], 0.0)
        assert (refusal is None) == (number < 8 or number >= 50)
        if refusal:
            assert refused(refusal) == (429, 5)
            admission.leave(ticket)
    assert (admission.connections, admission.addresses) == (58, 51)


def test_a_proxy_is_asked_once() -> None:
    admission = Admission(WIDE, PROXIES)
    ticket = admitted(admission.arrive("10.0.0.1", 0.0))
    for client in ("203.0.113.9", "203.0.113.8"):
        assert admission.identify(ticket, [client], 0.0) is None
    assert ticket.address == "203.0.113.9"
    direct = admitted(admission.arrive("203.0.113.7", 0.0))
    assert admission.identify(direct, ["203.0.113.9"], 0.0) is None
    assert direct.address == "203.0.113.7"


def test_a_socket_that_had_to_give_way_is_not_counted_when_its_request_comes() -> None:
    admission = Admission(replace(WIDE, silent_max=1), PROXIES)
    ticket = admitted(admission.arrive("10.0.0.1", 0.0))
    admitted(admission.arrive("10.0.0.1", 0.0))
    assert admission.identify(ticket, ["203.0.113.9"], 0.0) is None
    assert admission.addresses == 0


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example.com", "", "10.0.0.0/33", "10.0.0.0/8,"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be an address or a network like 10\.0\.0\.0/8, its host bits zero$"):
        parse_proxy(text)


def test_without_proxies_nothing_is_believed() -> None:
    peer = parse_proxy("127.0.0.1").network_address
    assert client_address(peer, ["203.0.113.9"], []) == peer


# --- memory --------------------------------------------------------------------------------------------------------


def test_addresses_are_forgotten() -> None:
    admission = Admission(WIDE)
    most = 0
    for number in range(20_000):
        now_s = number / 1000.0
        peer = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        admission.leave(spoken(admission, peer, now_s))
        most = max(most, admission.addresses)
    assert most <= 250, "each is remembered for 0.2 s, until its bucket is full"
    for _ in range(200):
        admission.leave(spoken(admission, "203.0.113.9", 1000.0 + _))
    assert admission.addresses <= 2


def test_forgetting_an_address_forgives_nothing() -> None:
    admission = Admission(WIDE)
    for _ in range(20):
        admission.leave(spoken(admission, "203.0.113.9", 0.0))
    for now_s in (1.0, 2.0, 3.0, 3.9):
        admission.leave(spoken(admission, "203.0.113.8", now_s))
    count = 0
    while isinstance(verdict := admission.arrive("203.0.113.9", 3.9), Admitted):
        admission.leave(verdict.ticket)
        count += 1
    assert count == 19


class Sockets(RuleBasedStateMachine):
    """Random sockets against plain counting."""

    LIMITS = AdmissionLimits(12, 5, 5.0, 7, 3, 6)

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(self.LIMITS)
        self.now_s = 0.0
        self.here: dict[Ticket, str] = {}
        self.silent: list[Ticket] = []
        self.tokens: dict[str, float] = {}

    @rule(peer=st.sampled_from(["203.0.113.1", "203.0.113.2", "203.0.113.3", "2001:db8::1"]))
    def arrive(self, peer: str) -> None:
        limits = self.LIMITS
        verdict = self.admission.arrive(peer, self.now_s)
        mine = [ticket for ticket, owner in self.here.items() if owner == peer]
        full = len(self.here) >= limits.connections_max
        too_many = (
            len(mine) >= limits.per_address_max
            or sum(ticket in mine for ticket in self.silent) >= limits.silent_per_address_max
            or self.tokens.get(peer, limits.arrivals_burst) < 1.0 - 1e-6
        )
        if full or too_many:
            assert refused(verdict)[0] == (503 if full else 429)
            return
        assert isinstance(verdict, Admitted)
        self.tokens[peer] = self.tokens.get(peer, limits.arrivals_burst) - 1.0
        assert verdict.drop is (self.silent[0] if len(self.silent) >= limits.silent_max else None)
        if verdict.drop is not None:
            self.silent.remove(verdict.drop)
            del self.here[verdict.drop]
        self.here[verdict.ticket] = peer
        self.silent.append(verdict.ticket)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def speak(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(list(self.here)))
        self.admission.spoke(ticket)
        if ticket in self.silent:
            self.silent.remove(ticket)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(list(self.here)))
        self.admission.leave(ticket)
        del self.here[ticket]
        if ticket in self.silent:
            self.silent.remove(ticket)

    @rule(quarters=st.integers(1, 20))
    def wait(self, quarters: int) -> None:
        self.now_s += quarters / 4.0
        for peer in self.tokens:
            self.tokens[peer] = min(self.tokens[peer] + quarters / 4.0 * 5.0, self.LIMITS.arrivals_burst)

    @invariant()
    def counts_agree(self) -> None:
        assert self.admission.connections == len(self.here)
        assert self.admission.silent == len(self.silent)
        assert len(Counter(self.here.values())) <= self.admission.addresses <= 4


TestSockets = Sockets.TestCase
TestSockets.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
