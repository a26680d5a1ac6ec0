"""Runs an experiment from the command line: flags, presets, pods, one-line errors."""

import contextlib
import dataclasses
import functools
import io
import itertools
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from experiments.launch import signals
from vae_jax import folders
from vae_jax.spelling import printable


@dataclasses.dataclass(frozen=True)
class Launch:
    """How the processes of one job find each other (see docs/pods.md)."""

    distributed: bool = False
    """Join the other processes of a pod or cluster; the same command on every host."""
    coordinator_address: str | None = None
    """host:port of process 0; found by itself on TPU pods and under SLURM."""
    num_processes: int | None = None
    """Processes in all; found by itself on TPU pods and under SLURM."""
    process_id: int | None = None
    """Number of this process from 0; found by itself on TPU pods and under SLURM."""

    def __post_init__(self) -> None:
        named = (self.coordinator_address, self.num_processes, self.process_id)
        if not self.distributed and named != (None, None, None):
            raise ValueError(
                "--coordinator-address, --num-processes and --process-id "
                "need --distributed."
            )


class Launchable(Protocol):
    """A configuration that says which preset it started from and how to launch."""

    @property
    def preset(self) -> str:
        """Name of the preset whose values the flags replace."""
        ...

    @property
    def launch(self) -> Launch:
        """How to join the other processes."""
        ...

    @property
    def folder(self) -> Path:
        """What --workdir names: where one run at a time writes."""
        ...


C = TypeVar("C", bound=Launchable)
T = TypeVar("T")


def run(
    main: Callable[[C], Any],
    presets: Mapping[str, C],
    args: Sequence[str] | None = None,
) -> None:
    """Parses the command line into a configuration and gives it to `main`.

    What goes wrong ends in one line on stderr and exit status 1 (2 for a wrong flag);
    its traceback comes with VAE_JAX_TRACEBACK=1 in the environment.
    """
    with signals.answered(), _one_line_errors():
        config = parse(presets, sys.argv[1:] if args is None else args)
        distributed = config.launch.distributed
        with _one_line_errors(distributed=distributed):
            blame = _start(config.launch)
        with (
            _one_line_errors(distributed=distributed, blame=blame),
            _left_together(distributed=distributed),
            _alone_in(config.folder),
        ):
            main(config)


@contextlib.contextmanager
def _left_together(*, distributed: bool) -> Iterator[None]:
    """Waits for the other processes in the end, where a signal is still answered."""
    from experiments.launch import processes
    from vae_jax import train

    stopped = None
    try:
        yield
    except train.Interrupted as error:  # as are all
        stopped = error
    if distributed:
        processes.leave()
    if stopped:
        raise stopped


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps other runs from the folder, which all processes of this one share."""
    from vae_jax import train

    with contextlib.ExitStack() as stack:
        if train.is_primary():
            stack.enter_context(folders.alone_in(folder, name="--workdir"))
        yield


def _start(launch: Launch) -> Callable[[str], str]:
    """Starts jax, in all processes; returns what to say of a failure from then on."""
    # Read when jax is imported. Its warnings are not for who watches a run, such as one
    # of every SIGTERM; its errors are.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Imported here: --help must answer at once and jax takes half a second.
    from experiments.launch import console, processes
    from vae_jax import train

    train.keep_freed_memory()
    if launch.distributed:
        processes.join(
            launch.coordinator_address, launch.num_processes, launch.process_id
        )
    console.say(processes.describe())
    return processes.blame if launch.distributed else str


def run_tool(
    main: Callable[[T], int], kind: type[T], args: Sequence[str] | None = None
) -> NoReturn:
    """Like `run`, for what has neither presets nor pods: exits with what `main` says.

    `kind` is the configuration's dataclass; a field without a default is a flag that
    must be given.
    """
    with signals.answered(), _one_line_errors():
        config = _parse(kind, sys.argv[1:] if args is None else args)
        status = main(config)
    sys.exit(status)


@contextlib.contextmanager
def _one_line_errors(
    *, distributed: bool = False, blame: Callable[[str], str] = str
) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if os.environ.get("VAE_JAX_TRACEBACK"):
            raise
        _stop(error, distributed=distributed, blame=blame)


def _stop(
    error: Exception, *, distributed: bool, blame: Callable[[str], str]
) -> NoReturn:
    """Says in one line what went wrong, and ends this process."""
    reason = str(error).strip() or _place(error)
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        reason = error.strerror  # one of ours, without "[Errno 5]"
    if not isinstance(error, ValueError | OSError | FloatingPointError):
        # Not one that we expect: its name helps, and so would its traceback.
        reason = f"{type(error).__name__}: {reason}"
    reason = blame(printable(reason.splitlines()[0]))
    line = f"error: {reason} (VAE_JAX_TRACEBACK=1 shows where)"
    if distributed:
        # The others wait for this process; without its goodbye they end too.
        print(line, file=sys.stderr, flush=True)
        os._exit(1)
    sys.exit(line)


def _place(error: Exception) -> str:
    """Where an error was raised that says nothing."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.line} ({last.filename}, line {last.lineno})"


def parse(presets: Mapping[str, C], args: Sequence[str]) -> C:
    """Returns the configuration of `args`: the flags given, else those of `--preset`.

    `presets` maps each preset's name to its configuration; the first is the default.
    """
    names = list(presets)
    chosen = _preset_named(args) or names[0]
    default = presets.get(chosen, presets[names[0]])
    return _parse(type(default), args, default)


def _parse(kind: type[T], args: Sequence[str], default: T | None = None) -> T:
    import tyro

    cli = functools.partial(
        tyro.cli,
        kind,
        args=args,
        prog=f"python -m {_module_name()}",
        config=(tyro.conf.OmitArgPrefixes,),
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return cli() if default is None else cli(default=default)
    except BrokenPipeError:
        _leave_without_a_reader()
    except SystemExit as stopped:
        if complaint.getvalue():
            # tyro draws a box of many lines below a title; one line will do.
            _, _, inside = complaint.getvalue().partition("\n")
            words = re.sub("[\u2500-\u257f]|-{4,}", " ", inside).split()
            # Of our own complaints, which name a flag, tyro first names the class.
            line = re.sub(r"^Error parsing \w+: (?=--)", "", " ".join(words))
            print("error:", line, file=sys.stderr)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_without_a_reader()
        raise stopped


def _leave_without_a_reader() -> NoReturn:
    """Ends this process, whose output is no longer read: of `--help | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _preset_named(args: Sequence[str]) -> str | None:
    """The value of `--preset`, read before the parser since it sets its defaults."""
    words = [word for arg in args for word in arg.split("=", 1)]
    following = dict(itertools.pairwise(words))
    return following.get("--preset")


def flag(field: str) -> str:
    """The flag of a field of a configuration."""
    return "--" + field.replace("_", "-")


def _module_name() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else os.path.basename(sys.argv[0])
