"""A sweep as a process: killed, and resumed. Minutes: run by hand."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

FLAGS = {
    "--objectives": ("vae", "factor-vae", "ad-factor-vae"),
    "--network": ("kim",),
    "--latents": (3,),
    "--steps": (60,),
    "--evaluations": (6,),
    "--batch-size": (4,),
    "--discriminator-layers": (1,),
    "--discriminator-width": (8,),
    "--evaluation-strides": (1, 2, 10, 8, 8),
}


@pytest.fixture(scope="module")
def start(tmp_path_factory, one_device):
    folder = tmp_path_factory.mktemp("sweep")

    def start(name):
        words = [str(word) for flag in FLAGS.items() for word in (flag[0], *flag[1])]
        command = [sys.executable, "-m", "experiments.dsprites", *words]
        command += ["--workdir", str(folder / name)]
        with (folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(command, env=one_device, stdout=log, stderr=log)
        return folder / name, process

    return start


def results(folder):
    content = json.loads((folder / "results.json").read_text())
    del content["config"]
    return content


def test_a_sweep_killed_at_any_moment_gives_the_same_table(start):
    """Five times, at random moments; what it had logged and scored is the same too."""
    whole, process = start("whole")
    assert process.wait() == 0
    folder, process = start("killed")
    rng = random.Random(0)
    kills = 0
    while kills < 5 and process.poll() is None:
        time.sleep(rng.uniform(8, 30))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        folder, process = start("killed")
    assert process.wait() == 0
    assert kills >= 3
    assert results(folder) == results(whole)
    for group in (whole / "runs").iterdir():
        lines = [
            (each / "metrics.jsonl").read_text().splitlines()
            for each in (group, folder / "runs" / group.name)
        ]
        evaluations = [
            [line for line in map(json.loads, of) if line["kind"] == "evaluation"]
            for of in lines
        ]
        assert evaluations[0] == evaluations[1]
        assert len(evaluations[0]) == 6
