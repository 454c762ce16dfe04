"""The command as people type it: help, versions, wrong words, interrupts and closed pipes."""

import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

import evpipe
from evpipe.cache import own_numba_cache
from evpipe.cli.main import COMMANDS, main
from evpipe.errors import InputError


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """`evpipe WORDS` in a process of its own."""
    command = [sys.executable, "-m", "evpipe", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def test_help_names_every_command() -> None:
    """Help goes to stdout, exit code 0."""
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n    {name} " in done.stdout for name in COMMANDS)


def test_version() -> None:
    """The version is that of the package."""
    assert run("--version").stdout == f"evpipe {evpipe.__version__}\n"


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing asked is a usage error."""
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_an_unknown_command_has_a_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which was meant."""
    assert main(["chek"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == "evpipe: there is no command 'chek': did you mean 'check'?"
    assert main(["zzz"]) == 2
    assert f"commands are: {', '.join(COMMANDS)}" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_module_help_and_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command in the table is there, with the options that all commands have."""
    module = import_module(f"evpipe.cli.{COMMANDS[name].module}")
    assert callable(module.run)
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"example: evpipe {name}" in " ".join(text.split())
    assert all(option in text for option in ("--json", "--verbose", "--quiet", "--log-file"))


def test_a_wrong_option_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No usage text, no traceback."""
    assert main(["check", "--nothing", "x"]) == 2
    assert capsys.readouterr().err == ("evpipe: unrecognized arguments: --nothing\nevpipe: see 'evpipe --help'\n")


def test_help_imports_nothing_heavy() -> None:
    """Neither numpy nor zmq, rich, msgspec or Qt is loaded for help."""
    code = (
        "import sys\nfrom evpipe.cli.main import main\nmain(['--help'])\n"
        "print([m for m in ('numpy', 'zmq', 'rich', 'PySide6', 'torch', 'msgspec', 'ruamel') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_quick() -> None:
    """`evpipe --help` takes at most six times a bare Python, by medians taken in turn."""
    bare, helped = [], []
    for _ in range(9):
        for words, taken in ((["-c", "pass"], bare), (["-m", "evpipe", "--help"], helped)):
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            taken.append(time.perf_counter() - start)
    assert sorted(helped)[4] <= 6 * sorted(bare)[4]


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (InputError("clip.raw: cut at byte 3"), 3, "evpipe: clip.raw: cut at byte 3\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_end_in_a_paragraph_and_a_code(
    raised: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for what a person can act on."""

    def fail(_args: object) -> int:
        raise raised

    monkeypatch.setattr("evpipe.cli.schema.run", fail)
    assert main(["schema"]) == code
    assert capsys.readouterr().err == text


def test_verbose_shows_where_an_error_arose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With -v the traceback comes before the paragraph."""

    def fail(_args: object) -> int:
        raise InputError("clip.raw: cut")

    monkeypatch.setattr("evpipe.cli.schema.run", fail)
    assert main(["schema", "-v"]) == 3
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert text.endswith("evpipe: clip.raw: cut\n")


def test_a_closed_pipe_is_no_error() -> None:
    """`evpipe schema | head -1` says nothing on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "evpipe", "schema"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_messages_go_to_the_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--log-file gets every message, stderr warnings alone."""
    import logging

    def speak(_args: object) -> int:
        logging.getLogger("evpipe.somewhere").info("a quiet word")
        logging.getLogger("evpipe.somewhere").warning("a loud word")
        return 0

    monkeypatch.setattr("evpipe.cli.schema.run", speak)
    logger = logging.getLogger("evpipe")
    before, propagate = list(logger.handlers), logger.propagate
    try:
        assert main(["schema", "--log-file", str(tmp_path / "log.txt")]) == 0
        for handler in logger.handlers:
            handler.close()
    finally:
        logger.handlers[:], logger.propagate = before, propagate
    assert [line.split(" ", 2)[2] for line in (tmp_path / "log.txt").read_text().splitlines()] == [
        "INFO a quiet word",
        "WARNING a loud word",
    ]


def test_a_log_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The option and the reason are named."""
    assert main(["schema", "--log-file", str(tmp_path / "no" / "log.txt")]) == 2
    assert "log.txt: cannot be written: No such file or directory" in capsys.readouterr().err


def test_numba_gets_a_cache_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder below the user's cache; one chosen already stays; one that cannot be made is left to numba."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    assert own_numba_cache() == "elsewhere"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert own_numba_cache() == os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "evpipe" / "numba")
    assert (tmp_path / "evpipe" / "numba").is_dir()
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert own_numba_cache() is None
    assert "NUMBA_CACHE_DIR" not in os.environ
