"""The session: what each message is answered with in each state, and that nothing leaves the table of transitions."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.players.session import (
    AUTH_TIMEOUT_S,
    FAULTS_MAX,
    FAULTS_WINDOW_MS,
    TRANSITIONS,
    Close,
    Command,
    Fetch,
    Gesture,
    GoIn,
    GoOut,
    Page,
    PutBack,
    RaceIn,
    RaceOut,
    Say,
    Session,
    Use,
    Verify,
)
from shared.messages import (
    CLIENT_MESSAGES,
    CLOSE_NOTES,
    TYPE_OF,
    Auth,
    AuthPayload,
    Chunks,
    ChunksPayload,
    ClientFault,
    ClientMessage,
    CloseCode,
    Enter,
    EnterPayload,
    Error,
    Interact,
    InteractPayload,
    Leave,
    Move,
    MovePayload,
    Ping,
    PingPayload,
    Pong,
    PongPayload,
    RaceJoin,
    RaceLeave,
    RacePayload,
    Respawn,
    Signal,
    SignalPayload,
    State,
    Who,
    WhoPayload,
)

NOW_MS = 1_700_000_000_000.0
PLAYER = "0b6f3cbe-29f3-4a1c-8d55-000000000001"
EVERY_MESSAGE: list[ClientMessage] = [
    Auth(AuthPayload("a.b.c"), id=7),
    Enter(EnterPayload("Driver", "kart"), id=7),
    Leave(id=7),
    Move(MovePayload(1, 2, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), id=7),
    Respawn(id=7),
    Chunks(ChunksPayload([(0, 0)]), id=7),
    Interact(InteractPayload("kiosk", "use"), id=7),
    RaceJoin(RacePayload("race"), id=7),
    RaceLeave(RacePayload("race"), id=7),
    Who(id=7),
    Signal(SignalPayload("horn"), id=7),
    Ping(PingPayload(99.5), id=7),
]
REACHABLE = [State.CONNECTING, State.LOBBY, State.QUEUED, State.WORLD, State.CLOSED]


def session_in(state: State) -> Session:
    session = Session()
    if state in (State.LOBBY, State.QUEUED, State.WORLD):
        session.authenticated(PLAYER, 1e12)
    if state is State.WORLD:
        session.entered(None)
    if state is State.QUEUED:
        session.queued()
    if state is State.CLOSED:
        session.closed()
    assert session.state is state
    return session


def error_of(command: Command | None) -> tuple[str, int | None]:
    """Code of an error message and the number that it answers."""
    assert isinstance(command, Say), command
    assert isinstance(command.message, Error), command
    return command.message.payload.code, command.message.re


def kinds(messages: list[ClientMessage]) -> set[type]:
    return {type(message) for message in messages}


def test_the_examples_are_all_messages() -> None:
    assert kinds(EVERY_MESSAGE) == set(CLIENT_MESSAGES)


IDS = [TYPE_OF[type(message)] for message in EVERY_MESSAGE]


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=IDS)
@pytest.mark.parametrize("state", [State.LOBBY, State.QUEUED, State.WORLD], ids=str)
def test_a_message_is_obeyed_where_the_contract_allows_it_and_refused_elsewhere(
    state: State, message: ClientMessage
) -> None:
    session = session_in(state)
    command = session.receive(message, NOW_MS)
    if isinstance(message, Move):
        assert command is None, "one that may be obeyed goes to the ring, and the session never sees it"
    elif state not in message.states:
        assert error_of(command) == ("not_allowed", 7)
    else:
        obeyed: dict[type, Command] = {
            Auth: Verify("a.b.c"),
            Enter: GoIn(EnterPayload("Driver", "kart")),
            Leave: GoOut(),
            Respawn: PutBack(),
            Interact: Use(InteractPayload("kiosk", "use")),
            Signal: Gesture("horn"),
            Who: Page(WhoPayload()),
            Chunks: Fetch(ChunksPayload([(0, 0)])),
            RaceJoin: RaceIn("race"),
            RaceLeave: RaceOut("race"),
            Ping: Say(Pong(PongPayload(99.5, NOW_MS), re=7)),
        }
        if type(message) in obeyed:
            assert command == obeyed[type(message)]
        else:
            assert error_of(command) == ("unsupported", 7)
    left = isinstance(message, Leave) and state in (State.QUEUED, State.WORLD)
    assert session.state is (State.LOBBY if left else state)


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=IDS)
def test_the_first_message_must_be_auth(message: ClientMessage) -> None:
    command = session_in(State.CONNECTING).receive(message, NOW_MS)
    if isinstance(message, Auth):
        assert command == Verify("a.b.c")
    else:
        assert isinstance(command, Close)
        assert (command.code, command.error) == (CloseCode.AUTH_FAILED, "auth_failed")


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=IDS)
def test_after_the_end_nothing_is_answered(message: ClientMessage) -> None:
    session = session_in(State.CLOSED)
    assert session.receive(message, NOW_MS) is None
    assert session.fault(ClientFault("malformed", "text"), NOW_MS) is None
    assert session.timed_out() is None
    session.closed()
    assert session.state is State.CLOSED


def test_the_messages_of_the_contract_have_the_states_of_the_contract() -> None:
    """The table of the wire contract, by hand."""
    lobby, queued, world, connecting = State.LOBBY, State.QUEUED, State.WORLD, State.CONNECTING
    documented: dict[type[ClientMessage], set[State]] = {
        Auth: {connecting, lobby, queued, world},
        Enter: {lobby},
        Leave: {world, queued},
        Move: {world},
        Respawn: {world},
        Chunks: {lobby, queued, world},
        Interact: {world},
        RaceJoin: {world},
        RaceLeave: {world},
        Who: {lobby, queued, world},
        Signal: {world},
        Ping: {lobby, queued, world},
    }
    assert {kind: set(kind.states) for kind in CLIENT_MESSAGES} == documented


# --- what a ``placed`` answers


def test_each_placed_answers_the_oldest_message_that_asked_for_it() -> None:
    session = session_in(State.LOBBY)
    session.entered(5)
    session.will_be_placed("respawn", 6)
    session.will_be_placed("respawn", None)
    session.will_be_placed("respawn", 8)
    assert [session.answers("respawn") for _ in range(4)] == [6, None, 8, None]
    assert session.answers("enter") == 5
    assert session.answers("enter") is None, "the server moved the car by itself"
    assert session.answers("correction") is None


def test_who_leaves_is_not_answered_for_what_it_asked_before() -> None:
    session = session_in(State.LOBBY)
    session.entered(5)
    session.will_be_placed("respawn", 6)
    assert session.receive(Leave(), NOW_MS) == GoOut()
    session.entered(9)
    assert session.answers("enter") == 9
    assert session.answers("respawn") is None


def test_who_is_sent_back_for_idling_is_not_answered_for_what_it_asked_before() -> None:
    session = session_in(State.WORLD)
    session.will_be_placed("respawn", 6)
    session.idled()
    assert session.state is State.LOBBY
    assert session.answers("respawn") is None


def test_a_resumed_session_is_in_the_world_and_its_placed_answers_nothing() -> None:
    session = session_in(State.LOBBY)
    session.resumed()
    assert session.state is State.WORLD
    assert session.answers("resume") is None


# --- tokens


def test_a_good_token_leads_to_the_lobby_and_a_second_one_refreshes() -> None:
    session = Session()
    assert session.authenticated(PLAYER, 100.0) == "first"
    assert (session.state, session.player, session.expires_at_s) == (State.LOBBY, PLAYER, 100.0)
    session.entered(None)
    assert session.authenticated(PLAYER, 200.0) == "refresh"
    assert (session.state, session.expires_at_s) == (State.WORLD, 200.0)


def test_another_players_token_is_no_refresh_and_changes_nothing() -> None:
    session = session_in(State.WORLD)
    session.expires_at_s = 100.0
    assert session.authenticated("somebody-else", 200.0) == "other"
    assert (session.state, session.player, session.expires_at_s) == (State.WORLD, PLAYER, 100.0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("auth_failed", CloseCode.AUTH_FAILED),
        ("token_expired", CloseCode.TOKEN_EXPIRED),
        ("forbidden", CloseCode.FORBIDDEN),
        ("not_ready", CloseCode.OVERLOADED),
    ],
)
def test_a_bad_token_ends_a_new_connection(error: str, code: CloseCode) -> None:
    command = Session().refused(error, "why")  # type: ignore[arg-type]
    assert command == Close(code, error, "why")  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [State.LOBBY, State.WORLD], ids=str)
def test_a_bad_refresh_is_an_error_and_the_old_token_runs_on(state: State) -> None:
    session = session_in(state)
    assert error_of(session.refused("auth_failed", "why"))[0] == "auth_failed"
    assert session.state is state


def test_only_who_has_not_authenticated_runs_out_of_time() -> None:
    command = Session().timed_out()
    assert isinstance(command, Close)
    assert (command.code, command.error) == (CloseCode.AUTH_TIMEOUT, "auth_timeout")
    assert f"{AUTH_TIMEOUT_S:.0f} s" in command.message
    for state in (State.LOBBY, State.WORLD):
        assert session_in(state).timed_out() is None


# --- bytes that are no message

FAULT = ClientFault("unknown_type", "no such type")


def test_the_first_bytes_must_be_a_message() -> None:
    command = Session().fault(FAULT, NOW_MS)
    assert command == Close(CloseCode.MALFORMED, "unknown_type", "no such type")


def test_one_fault_is_an_accident_and_three_in_a_row_are_a_program() -> None:
    session = session_in(State.WORLD)
    for number in range(FAULTS_MAX - 1):
        assert error_of(session.fault(FAULT, NOW_MS + number))[0] == "unknown_type"
    last = session.fault(FAULT, NOW_MS + FAULTS_WINDOW_MS - 0.1)
    assert isinstance(last, Close)
    assert last.code is CloseCode.MALFORMED


def test_faults_that_lie_far_apart_are_forgiven() -> None:
    session = session_in(State.LOBBY)
    for number in range(20):
        at_ms = NOW_MS + number * FAULTS_WINDOW_MS / (FAULTS_MAX - 1)
        assert isinstance(session.fault(FAULT, at_ms), Say)


# --- the table


def test_the_table_leads_from_connecting_to_closed_and_nothing_leaves_closed() -> None:
    reached = {State.CONNECTING}
    for _ in TRANSITIONS:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(REACHABLE)
    assert not [before for before, _ in TRANSITIONS if before is State.CLOSED]
    assert {before for before, step in TRANSITIONS if step == "closed"} == set(REACHABLE) - {State.CLOSED}


def test_every_end_with_a_44xx_has_its_error() -> None:
    for code in (CloseCode.MALFORMED, CloseCode.AUTH_FAILED, CloseCode.AUTH_TIMEOUT, CloseCode.FORBIDDEN):
        assert CLOSE_NOTES[code].error is not None


@pytest.mark.parametrize("state", REACHABLE, ids=str)
def test_a_connection_may_end_in_any_state_and_twice(state: State) -> None:
    session = session_in(state)
    for _ in range(2):
        session.closed()
        assert session.state is State.CLOSED


@pytest.mark.parametrize("state", [State.CONNECTING, State.WORLD, State.CLOSED], ids=str)
def test_a_step_that_is_not_listed_is_our_bug(state: State) -> None:
    with pytest.raises(KeyError):
        session_in(state).entered(None)


EVENTS = st.lists(
    st.sampled_from([*EVERY_MESSAGE, *EVERY_MESSAGE[:3], "fault", "good", "bad", "other", "timeout", "closed"]),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(events=EVENTS, every_ms=st.sampled_from([10.0, 6000.0]))
def test_no_sequence_of_events_leaves_the_table(events: list[ClientMessage | str], every_ms: float) -> None:
    """The reception's part is played here: verdicts come only after a Verify, entries only after a GoIn."""
    session = Session()
    now_ms = NOW_MS
    for event in events:
        now_ms += every_ms
        before = session.state
        command: Command | None = None
        if event == "fault":
            command = session.fault(FAULT, now_ms)
        elif event == "timeout":
            command = session.timed_out()
        elif event == "closed":
            session.closed()
        elif isinstance(event, str):
            command = verdict(session, event, now_ms)
        else:
            command = session.receive(event, now_ms)
        if isinstance(command, GoIn):
            session.entered(None)
        if isinstance(command, Close):
            session.closed()
        assert before is session.state or (before, session.state) in {
            (start, end) for (start, _), end in TRANSITIONS.items()
        }
        assert command is None or isinstance(command, get_args(Command))
        assert (session.player is None) == (session.state is State.CONNECTING) or session.state is State.CLOSED
        if before is State.CLOSED:
            assert command is None


def verdict(session: Session, event: str, now_ms: float) -> Command | None:
    """An ``auth`` comes, and the token is good, bad or another player's."""
    if not isinstance(session.receive(EVERY_MESSAGE[0], now_ms), Verify):
        return None
    if event == "bad":
        return session.refused("auth_failed", "why")
    kind = session.authenticated(PLAYER if event == "good" else "somebody-else", now_ms)
    return Close(CloseCode.FORBIDDEN, "forbidden", "other") if kind == "other" else None
