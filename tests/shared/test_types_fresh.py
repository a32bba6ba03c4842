"""The generated files are what the structs say, and say it completely."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from scripts import gen_types
from scripts.contract.model import read_contract
from scripts.contract.page import page
from scripts.gen_types import TYPES, generated, stale
from shared.messages import (
    CLIENT_MESSAGES,
    CLOSE_NOTES,
    ERROR_CODES,
    ERROR_NOTES,
    RECONNECT_NOTES,
    SERVER_MESSAGES,
    TYPE_OF,
    CloseCode,
)


def test_the_generated_files_are_fresh() -> None:
    assert stale() == [], "run `python -m scripts.gen_types`"


def test_check_names_the_stale_file_and_exits_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("messages.ts", "schema.json", "PROTOCOL.md"):
        (tmp_path / name).write_text((TYPES / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(gen_types, "stale", lambda: stale(tmp_path))
    monkeypatch.setattr(sys, "argv", ["gen_types", "--check"])
    assert gen_types.main() == 0
    (tmp_path / "messages.ts").write_text("// edited by hand\n", encoding="utf-8")
    table = (tmp_path / "PROTOCOL.md").read_text(encoding="utf-8")
    (tmp_path / "PROTOCOL.md").write_text(table.replace("| `token` | string |", "| `token` | text |"), encoding="utf-8")
    assert gen_types.main() == 1
    said = capsys.readouterr().err
    assert "messages.ts" in said
    assert "PROTOCOL.md" in said
    assert "schema.json" not in said


def test_two_runs_in_other_processes_write_the_same() -> None:
    script = "from scripts.gen_types import generated; print(hash(tuple(map(len, generated().values()))))"
    script += "\nimport hashlib; print(hashlib.sha256(repr(sorted(generated().items())).encode()).hexdigest())"
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            cwd=TYPES.parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_every_code_is_explained() -> None:
    assert set(CLOSE_NOTES) == set(CloseCode)
    assert tuple(ERROR_NOTES) == ERROR_CODES
    assert {note.reconnect for note in CLOSE_NOTES.values()} <= set(RECONNECT_NOTES)
    assert all(note.error is not None for code, note in CLOSE_NOTES.items() if code >= 4400)
    assert {note.error for note in CLOSE_NOTES.values()} - {None} <= set(ERROR_NOTES)


def test_answers_are_messages_of_the_server() -> None:
    sent = {TYPE_OF[cls] for cls in SERVER_MESSAGES if "re" in cls.__struct_fields__}
    for cls in CLIENT_MESSAGES:
        assert set(cls.answers) <= sent, f"{cls.__name__} is answered by what cannot carry `re`"


def test_a_page_that_lost_a_section_is_refused() -> None:
    current = (TYPES / "PROTOCOL.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="close-codes"):
        page(read_contract(), current.replace("<!-- generated: close-codes -->", ""))


def test_a_field_without_a_description_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(msgspec.Struct):
        colour: str

    class Painted(msgspec.Struct, tag_field="type", tag="painted"):
        payload: Bare

    monkeypatch.setattr("scripts.contract.model.SERVER_MESSAGES", (Painted,))
    monkeypatch.setattr("scripts.contract.model.TYPE_OF", dict(TYPE_OF) | {Painted: "painted"})
    with pytest.raises(ValueError, match=r"Bare\.colour has no description"):
        read_contract()


def test_the_schema_has_every_message_and_no_loose_end() -> None:
    document = json.loads(generated()["schema.json"])
    defs = document["$defs"]
    for cls in (*CLIENT_MESSAGES, *SERVER_MESSAGES):
        assert defs[f"{cls.__name__}Message"]["properties"]["type"] == {"enum": [TYPE_OF[cls]]}
    refs = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(document)))
    assert refs <= set(defs)
    assert defs["MovePayload"]["additionalProperties"] is False
    assert "additionalProperties" not in defs["PlacedPayload"], "clients ignore keys that they do not know"
    assert defs["MovePayload"]["properties"]["x"]["maximum"] == 65536


def test_the_page_documents_every_refusal_that_reaches_clients() -> None:
    text = (TYPES / "PROTOCOL.md").read_text(encoding="utf-8")
    for error in ERROR_CODES:
        assert f"| `{error}` |" in text
    for close in CloseCode:
        assert f"| {close.value} | `{close.name}` |" in text
