"""The TypeScript side: it compiles strictly, installs by path, passes its own tests, and knows what Python knows."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect as msi

from scripts.contract.client_build import NodeMissing, build_client, compile_strictly
from shared.messages import CLIENT_MESSAGES, SERVER_MESSAGES, TYPE_OF

HERE = Path(__file__).parent
FRAMES = HERE.parent / "shared" / "fixtures" / "wire"
NODE_TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Node project that has installed the client by path; skips where there is no Node, unless REQUIRE_NODE=1."""
    try:
        return build_client(tmp_path_factory.mktemp("node"))
    except NodeMissing as reason:
        if os.environ.get("REQUIRE_NODE") == "1":
            pytest.fail(f"REQUIRE_NODE=1, but {reason}")
        pytest.skip(str(reason))


def _node(app: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", *words],
        cwd=app,
        env=os.environ | {"WIRE_FIXTURES": str(FRAMES)},
        capture_output=True,
        text=True,
        timeout=NODE_TIMEOUT_S,
        check=False,
    )


def test_the_clients_own_tests_pass(app: Path) -> None:
    shutil.copytree(HERE, app / "node", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    files = sorted(str(path) for path in (app / "node").glob("*.test.mjs"))
    done = _node(app, "--test", "--test-reporter=tap", *files)
    assert done.returncode == 0, f"{done.stdout[-6000:]}{done.stderr[-2000:]}"
    assert "# fail 0" in done.stdout
    assert "# pass 0" not in done.stdout


def test_node_sees_the_fields_that_python_sees(app: Path) -> None:
    done = _node(
        app,
        "--input-type=module",
        "--eval",
        'import { MESSAGE_FIELDS } from "@shard/client"; console.log(JSON.stringify(MESSAGE_FIELDS))',
    )
    assert done.returncode == 0, done.stderr
    fields = json.loads(done.stdout)
    parts: dict[str, list[str]] = {}
    for side, classes in (("client", CLIENT_MESSAGES), ("server", SERVER_MESSAGES)):
        for cls in classes:
            assert fields[side].pop(TYPE_OF[cls]) == _fields(_payload(cls), parts), cls.__name__
        assert fields[side] == {}, "Node knows messages that Python does not"
    assert fields["parts"] == parts


def _payload(cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
    kind: type[msgspec.Struct] = next(field.type for field in msgspec.structs.fields(cls) if field.name == "payload")
    return kind


def _fields(cls: type[msgspec.Struct], parts: dict[str, list[str]]) -> list[str]:
    """Wire names of a struct, with ``?``; the structs inside it are noted in ``parts``."""
    for inner in _structs_inside(msi.type_info(cls)):
        parts[inner.__name__] = _fields(inner, parts)
    return [field.encode_name + ("" if field.required else "?") for field in msgspec.structs.fields(cls)]


def _structs_inside(kind: msi.Type) -> list[type[msgspec.Struct]]:
    if isinstance(kind, msi.StructType):
        found = [_unwrapped(field.type) for field in kind.fields]
        return [each.cls for each in found if isinstance(each, msi.StructType)]
    return []


def _unwrapped(kind: msi.Type) -> msi.Type:
    while isinstance(kind, (msi.Metadata, msi.ListType)):
        kind = kind.type if isinstance(kind, msi.Metadata) else kind.item_type
    return kind


FRAME_CHECK = """\
import type { ClientMessage, ServerMessage } from "./messages.js";
type Whole<T> = T extends object ? { [Key in keyof T]-?: Whole<T[Key]> } : T;
type WholeMessage<M> = M extends { payload: infer P } ? Whole<Omit<M, "payload">> & { payload: Whole<P> } : never;
type OfClient<T> = WholeMessage<Extract<ClientMessage, { type: T }>>;
type OfServer<T> = WholeMessage<Extract<ServerMessage, { type: T }>>;
"""
"""A frame with a key that the types lack does not compile, nor does one that lacks a key of theirs, optional or not."""


def _frame_check(frames: dict[str, dict[str, object]]) -> str:
    lines = [FRAME_CHECK]
    for name, frame in frames.items():
        side, _, kind = name.partition("_")
        whole = {"payload": {}} | frame
        lines.append(f'export const {name} = {json.dumps(whole)} satisfies Of{side.title()}<"{kind}">;')
    return "\n".join(lines) + "\n"


@pytest.fixture
def frames() -> dict[str, dict[str, object]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FRAMES.glob("*.json"))}


def test_the_types_fit_the_frozen_frames_exactly(
    app: Path, frames: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    source = tmp_path / "frames.ts"
    source.write_text(_frame_check(frames), encoding="utf-8")
    assert compile_strictly(app, source) == ""


def test_a_field_more_or_less_does_not_compile(app: Path, frames: dict[str, dict[str, object]], tmp_path: Path) -> None:
    more, less, row = frames["client_move"], frames["server_placed"], frames["server_snapshot"]
    for frame in (more, less, row):
        assert isinstance(frame["payload"], dict)
    more["payload"]["colour"] = 1  # type: ignore[index]
    del less["payload"]["check"]  # type: ignore[attr-defined]
    row["payload"]["cells"][0]["at"][0].pop()  # type: ignore[index]
    source = tmp_path / "frames.ts"
    source.write_text(_frame_check(frames), encoding="utf-8")
    said = compile_strictly(app, source)
    assert said.count("error TS") == 3, said
    assert "colour" in said
    assert "check" in said


def test_the_example_function_that_awards_xp_compiles(app: Path) -> None:
    """Against what it uses of Deno, which is not installed here."""
    shims = app.parent / "client" / "deno_shims.d.ts"
    shutil.copy(HERE / shims.name, shims)
    said = compile_strictly(app, HERE.parents[1] / "shared" / "types" / "examples" / "award_race_xp.ts")
    shims.unlink()
    assert said == ""
