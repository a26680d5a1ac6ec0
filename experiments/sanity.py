"""Do maps rest on what the network learned, and on what makes an image anomalous?

python -m experiments.sanity
python -m experiments.sanity --data-dir mvtec_anomaly_detection --category screw

With the flags of `experiments.mvtec`, of which it resumes the runs, or makes them. For
each method: how alike its maps stay as layers forget what they learned (Adebayo et al.
2018), and how soon the negative ELBO falls, or comes back, as the most anomalous pixels
go over to the reconstruction, or back (Petsiuk et al. 2018), beside a random order.
"""

import dataclasses
from typing import Any

from experiments import mvtec
from experiments.launch import runner

COLUMNS = {
    "category": "category",
    "seed": "seed",
    "method": "method",
    "kind": "kind",
    "correlation": "rank correlation",
    "deletion": "deletion",
    "insertion": "insertion",
}
NOTES = """\
rank correlation: of the maps with those of the untrained network; what stays near 1
asks no network. Statistics of normal images, by which some maps are whitened or
calibrated, stay those of the trained network. deletion: area under the negative ELBO as
pixels become normal, the lower the better; insertion: as they come back, the higher the
better. random: in a random order, the floor of both. Means over images with a
defect."""


def main(config: mvtec.Config) -> list[dict[str, Any]]:
    """Checks the maps of every category; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.launch import console
    from experiments.localisation import checks
    from experiments.localisation.fit import fit
    from experiments.localisation.prepare import prepare
    from vae_jax import report, train
    from vae_jax.software import versions

    rows = []
    for settings, data, augmentation in mvtec.each_run(config):
        prepared = prepare(settings, data, augmentation)
        network = fit(prepared)
        console.say(f"{data.category}: checking its maps")
        rows += checks.check(prepared, network)
    if train.is_primary():
        content = {
            "rows": rows,
            "config": dataclasses.asdict(config),
            "versions": versions(),
        }
        report.write_json(config.settings.folder / "sanity.json", content)
        print(report.format_table(rows, COLUMNS), NOTES, sep="\n\n")
    return rows


if __name__ == "__main__":
    runner.run(main, mvtec.PRESETS)
