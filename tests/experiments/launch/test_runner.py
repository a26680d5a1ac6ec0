import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.launch import runner
from vae_jax.folders import is_taken


@dataclasses.dataclass(frozen=True)
class Config:
    """A configuration for the tests."""

    preset: str = "quick"
    """Preset."""
    steps: int = 10
    """Steps."""
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)
    workdir: str = "run"
    """Folder."""

    @property
    def folder(self):
        return Path(self.workdir)


PRESETS = {"quick": Config(), "paper": Config(preset="paper", steps=1000)}


@pytest.mark.parametrize(
    ("args", "steps"),
    [
        ([], 10),
        (["--preset", "paper"], 1000),
        (["--preset=paper"], 1000),
        (["--steps", "7", "--preset", "paper"], 7),
    ],
)
def test_flags_win_over_the_preset_and_the_preset_over_the_default(args, steps):
    assert runner.parse(PRESETS, args).steps == steps


def test_a_typo_in_a_flag_suggests_the_right_one(capsys):
    with pytest.raises(SystemExit) as stopped:
        runner.parse(PRESETS, ["--stepz", "3"])
    assert stopped.value.code == 2
    complaint = capsys.readouterr().err
    assert "--steps" in complaint
    assert complaint.count("Unrecognized") == 1
    assert complaint.count("\n") == 1


def test_launch_flags_without_distributed_are_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        runner.parse(PRESETS, ["--process-id", "0"])
    assert stopped.value.code == 2
    assert "need --distributed" in " ".join(capsys.readouterr().err.split())


def test_a_complaint_about_a_flag_begins_with_the_flag(capsys):
    with pytest.raises(SystemExit):
        runner.parse(PRESETS, ["--process-id", "0"])
    assert capsys.readouterr().err.startswith("error: --coordinator-address, ")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to run in, with errors shown as users see them."""
    monkeypatch.delenv("VAE_JAX_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_workdir_that_another_run_uses_is_refused_in_one_line(here, hold_folder):
    process = hold_folder(here / "run")
    with pytest.raises(SystemExit) as stopped:
        runner.run(lambda config: pytest.fail("it ran"), PRESETS, [])
    line = str(stopped.value.code)
    assert line.startswith(f"error: --workdir: {here / 'run'} must be used by one")
    assert f"is by process {process.pid} on" in line
    assert "\n" not in line


def test_a_workdir_that_cannot_be_made_is_one_line_without_a_number(here):
    (here / "file").write_text("")
    with pytest.raises(
        SystemExit, match=r"^error: --workdir: cannot write to .*/file \(File exists\)"
    ):
        runner.run(lambda config: pytest.fail("it ran"), PRESETS, ["--workdir", "file"])


def test_a_run_has_its_workdir_alone_while_it_lasts(here):
    held = []
    runner.run(lambda config: held.append(is_taken(config.folder)), PRESETS, [])
    assert held == [True]
    assert not is_taken(here / "run")


def test_what_goes_wrong_is_one_line_and_its_traceback_can_be_had(here, monkeypatch):
    def refuse(config):
        raise ValueError("mvtec: wanted a, got b.")

    with pytest.raises(
        SystemExit,
        match=r"^error: mvtec: wanted a, got b\. \(VAE_JAX_TRACEBACK=1 shows where\)$",
    ):
        runner.run(refuse, PRESETS, [])
    monkeypatch.setenv("VAE_JAX_TRACEBACK", "1")
    with pytest.raises(ValueError, match="wanted a"):
        runner.run(refuse, PRESETS, [])


def test_an_error_that_says_nothing_says_where(here):
    def refuse(config):
        raise RuntimeError

    with pytest.raises(SystemExit) as stopped:
        runner.run(refuse, PRESETS, [])
    assert str(stopped.value.code).startswith(
        f"error: RuntimeError: raise RuntimeError ({__file__}, line "
    )


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool for the tests."""

    images: tuple[str, ...]
    """Images."""
    times: int = 1
    """Times."""


def test_a_tool_exits_with_what_it_says():
    with pytest.raises(SystemExit) as stopped:
        runner.run_tool(lambda tool: 3 * tool.times, Tool, ["--images", "a", "b"])
    assert stopped.value.code == 3


def test_a_tool_names_the_flag_that_is_missing(capsys):
    with pytest.raises(SystemExit) as stopped:
        runner.run_tool(lambda tool: 0, Tool, [])
    assert stopped.value.code == 2
    complaint = capsys.readouterr().err
    assert "--images" in complaint
    assert complaint.count("\n") == 1


def test_what_goes_wrong_in_a_tool_is_one_line(monkeypatch):
    def refuse(tool):
        raise OSError("no space")

    monkeypatch.delenv("VAE_JAX_TRACEBACK", raising=False)
    with pytest.raises(SystemExit, match=r"^error: no space .*$"):
        runner.run_tool(refuse, Tool, ["--images", "a"])


def test_a_name_in_what_goes_wrong_cannot_write_on_the_terminal(monkeypatch):
    def refuse(tool):
        raise ValueError("decode: \x1b[2J\udcff.png is no image")

    monkeypatch.delenv("VAE_JAX_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as stopped:
        runner.run_tool(refuse, Tool, ["--images", "a"])
    assert stopped.value.code.startswith(r"error: decode: \x1b[2J\udcff.png is no")


@pytest.mark.parametrize("name", ["mvtec", "predict"])
def test_help_whose_reader_has_left_says_nothing(name):
    command = [sys.executable, "-m", f"experiments.{name}", "--help"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_help_and_configuration_load_neither_jax_nor_flax():
    code = (
        "import json, sys; import experiments.mvtec, experiments.predict; "
        "print(json.dumps([m for m in ('jax', 'flax') if m in sys.modules]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(printed.stdout) == []
