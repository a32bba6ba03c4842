"""Who may open a socket: limits by address and in all, decided before anything is known about the player.

A socket's way: ``arrive`` when it is accepted, ``identify`` when its HTTP request is here (only then a proxy has told
whose it is), ``spoke`` when it has presented a token, ``leave`` when it is gone. Until it has spoken it is *silent*.
Silent sockets cost an attacker nothing, so they are capped twice: per address first, so that one address cannot use up
the second cap; then in all, where the oldest gives way, because an honest client speaks within a round trip.

An address is an IPv4 address or an IPv6 /64, the smallest net that a customer is given. Behind a trusted proxy it is
the last hop of X-Forwarded-For that is no trusted proxy: everything left of it may be invented by the client.

An address costs one small record, kept while it has sockets and until its bucket is full again (4 s). All methods take
O(1); ``now_s`` is any clock that never goes backwards.
"""

from __future__ import annotations

import http
import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from shard.access.bucket import Bucket

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

HOPS_MAX: Final = 16
"""Hops of X-Forwarded-For that are looked at, from the right: nobody has more proxies of their own."""

SPEAK_WITHIN_S: Final = 5
"""After this long the session ends a socket without a token: room for the next."""

_UNKNOWN: Final = "unknown"
"""Stands for all peers whose address cannot be read; they share one record."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How many sockets, from where."""

    connections_max: int
    """In all, silent ones included."""
    per_address_max: int = 20
    """At a time: a household, a classroom; a carrier's NAT needs more."""
    arrivals_per_s: float = 5.0
    arrivals_burst: int = 20
    """New sockets of one address."""
    silent_per_address_max: int = 8
    silent_max: int = 256
    """In all: some 20 KiB each. Clients speak after one round trip, so this admits about a thousand per second."""
    exempt_loopback: bool = False
    """Loopback addresses are limited in all only: for local swarms, and proxies that do not tell their clients."""

    def __post_init__(self) -> None:
        smallest = min(self.connections_max, self.per_address_max, self.silent_per_address_max, self.silent_max)
        assert smallest >= 1, "a limit of 0 admits nobody: set it to 1 or more"


@dataclass(frozen=True, slots=True)
class Refusal:
    """No. To be answered before the WebSocket handshake, by HTTP."""

    status: http.HTTPStatus
    retry_after_s: int
    reason: str
    """For the client and the log; names no address."""

    def response(self) -> bytes:
        """The whole answer, for a socket that is turned away before its request was read. Then close it."""
        body = f"{self.reason}\n".encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\nRetry-After: {self.retry_after_s}\r\n"
            f"Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Ticket:
    """One admitted socket. Opaque: what it counts for is Admission's affair."""

    __slots__ = ("_left", "_proxy", "_record", "_silent", "address")

    def __init__(self, proxy: Address | None) -> None:
        self.address: str = _UNKNOWN
        """Whose the socket is, for the log: "203.0.113.9", "2001:db8:1:2::/64", or "unknown"."""
        self._proxy = proxy
        """The peer, while it is a trusted proxy that has not yet told for whom."""
        self._record: _Record | None = None
        """The address that the socket counts against; None: against none."""
        self._silent = True
        self._left = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """Yes."""

    ticket: Ticket
    drop: Ticket | None = None
    """A silent socket that has to give way: end it with 1013. It is not counted any more."""


class _Record:
    """One address."""

    __slots__ = ("arrivals", "due", "silent", "sockets")

    def __init__(self, limits: AdmissionLimits) -> None:
        self.sockets = 0
        self.silent = 0
        self.arrivals = Bucket(limits.arrivals_per_s, limits.arrivals_burst)
        self.due = False
        """It waits in ``_due`` to be forgotten."""


class Admission:
    """All sockets of the shard."""

    def __init__(self, limits: AdmissionLimits, proxies: Sequence[Network] = ()) -> None:
        self.draining = False
        """Nobody is admitted any more."""
        self._limits = limits
        self._proxies = tuple(proxies)
        self._connections = 0
        self._silent: OrderedDict[Ticket, None] = OrderedDict()
        """Oldest first."""
        self._records: dict[str, _Record] = {}
        self._due: deque[str] = deque()
        """Addresses without sockets: each is forgotten once its bucket is full."""

    @property
    def connections(self) -> int:
        """Sockets admitted and not gone."""
        return self._connections

    @property
    def silent(self) -> int:
        """Those of them that have not presented a token."""
        return len(self._silent)

    @property
    def addresses(self) -> int:
        """Addresses that are remembered."""
        return len(self._records)

    def arrive(self, peer: str, now_s: float) -> Admitted | Refusal:
        """A socket was accepted from ``peer``, the address of its other end. Counts it, unless it is refused."""
        self._forget(now_s)
        if self.draining:
            return Refusal(http.HTTPStatus.SERVICE_UNAVAILABLE, SPEAK_WITHIN_S, "the server restarts")
        if self._connections >= self._limits.connections_max:
            return Refusal(http.HTTPStatus.SERVICE_UNAVAILABLE, SPEAK_WITHIN_S, "the server is full")
        address = _parsed(peer)
        ticket = Ticket(proxy=address if _is_in(address, self._proxies) else None)
        if ticket._proxy is None and (refusal := self._charge(ticket, address, now_s)):
            return refusal
        drop = next(iter(self._silent)) if len(self._silent) >= self._limits.silent_max else None
        if drop is not None:
            self.leave(drop)
        self._connections += 1
        self._silent[ticket] = None
        return Admitted(ticket, drop)

    def identify(self, ticket: Ticket, forwarded_for: Iterable[str], now_s: float) -> Refusal | None:
        """The socket's HTTP request is here; ``forwarded_for`` are its X-Forwarded-For headers, in their order.

        Only a trusted proxy is believed. A refused socket is counted until ``leave``, but against no address.
        """
        if self.draining:
            return Refusal(http.HTTPStatus.SERVICE_UNAVAILABLE, SPEAK_WITHIN_S, "the server restarts")
        proxy, ticket._proxy = ticket._proxy, None
        if ticket._left or proxy is None:
            return None
        return self._charge(ticket, client_address(proxy, forwarded_for, self._proxies), now_s)

    def spoke(self, ticket: Ticket) -> None:
        """The socket presented a token, good or bad: it is not silent any more. Idempotent."""
        if ticket._silent:
            ticket._silent = False
            self._silent.pop(ticket, None)
            if ticket._record is not None:
                ticket._record.silent -= 1

    def leave(self, ticket: Ticket) -> None:
        """The socket is gone. Idempotent."""
        if ticket._left:
            return
        self.spoke(ticket)
        ticket._left = True
        self._connections -= 1
        if ticket._record is not None:
            ticket._record.sockets -= 1
            self._expire_later(ticket.address, ticket._record)

    def _charge(self, ticket: Ticket, address: Address | None, now_s: float) -> Refusal | None:
        """Count ``ticket`` against its address, or say why not."""
        limits = self._limits
        ticket.address = _shown(address)
        if limits.exempt_loopback and address is not None and address.is_loopback:
            return None
        record = self._records.get(ticket.address)
        if record is None:
            record = self._records[ticket.address] = _Record(limits)
        refusal = _too_many(record, limits, now_s)
        if refusal is None:
            ticket._record = record
            record.sockets += 1
            record.silent += ticket._silent
        return refusal

    def _expire_later(self, address: str, record: _Record) -> None:
        if not record.sockets and not record.due:
            record.due = True
            self._due.append(address)

    def _forget(self, now_s: float) -> None:
        """Forget addresses that are due, two at most: one arrival makes one record, so this keeps up."""
        for _ in range(min(2, len(self._due))):
            address = self._due[0]
            record = self._records[address]
            if not record.sockets and record.arrivals.full_at_s > now_s:
                return  # those behind it left later
            self._due.popleft()
            record.due = False
            if not record.sockets:
                del self._records[address]


def client_address(peer: Address, forwarded_for: Iterable[str], proxies: Sequence[Network]) -> Address:
    """The client's address: ``peer`` unless it is a trusted proxy, else the right-most hop that is none.

    ``forwarded_for`` are X-Forwarded-For headers in their order. A proxy that names nobody, or no address, stands for
    its clients itself.
    """
    hops = ",".join(forwarded_for).rsplit(",", HOPS_MAX)  # what is left of the last HOPS_MAX commas is no address
    while hops and _is_in(peer, proxies):
        hop = _parsed(_without_port(hops.pop().strip()))
        if hop is None:
            break
        peer = hop
    return peer


def parse_proxy(text: str) -> Network:
    """An address or a CIDR network of trusted proxies. Raises ValueError with the rule, without the text."""
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError("must be an address or a network like 10.0.0.0/8, its host bits zero") from None


def _too_many(record: _Record, limits: AdmissionLimits, now_s: float) -> Refusal | None:
    """Why one more socket of this address is too many; otherwise its arrival is counted."""
    too_many = http.HTTPStatus.TOO_MANY_REQUESTS
    if record.sockets >= limits.per_address_max:
        return Refusal(too_many, 2 * SPEAK_WITHIN_S, "too many connections from your address")
    if record.silent >= limits.silent_per_address_max:
        return Refusal(too_many, SPEAK_WITHIN_S, "too many connections from your address that do not authenticate")
    if wait_s := record.arrivals.take(now_s):
        return Refusal(too_many, math.ceil(wait_s), "too many new connections from your address")
    return None


def _is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(hop: str) -> str:
    """``1.2.3.4:80`` and ``[::1]:80``, as some proxies write them, without the port."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, _ = hop.partition(":")
    return host if colon and "." in host and hop.count(":") == 1 else hop


def _shown(address: Address | None) -> str:
    """The name of the address or /64 that is counted."""
    if address is None:
        return _UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
