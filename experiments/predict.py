"""Inspects images with a detector that a localisation run has left.

python -m experiments.predict --checkpoint runs/mvtec/screw --images parts --out found
python -m experiments.predict --checkpoint detector.zip --images 'a/*.tif' b --out found

Writes below --out, for each image, maps/NAME.png (16 bits, one scale for all images),
masks/NAME.png and overlays/NAME.png at the size of the image, and a row of results.csv;
at the end results.json, which also says what was used. Killed and started again, it
continues. Exit status: 0; 1 if something stopped it; 2 for a wrong flag; 3 if some
images could not be read, each named with the reason, and the others were inspected;
130 after Ctrl-C, 143 after SIGTERM.
"""

import dataclasses

from experiments.launch import runner
from vae_jax.inspection import Settings

SOME_FAILED = 3
"""Exit status."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Inspects images: score, verdict, map, mask and overlay of each.

    Exit status: 0; 1 if something stopped it; 2 for a wrong flag; 3 if it went through
    but some images could not be read.
    """

    checkpoint: str
    """A detector.zip, or the folder of a run that holds one."""
    images: tuple[str, ...]
    """Folders, files, or patterns in quotes; of a folder the files named like images
    (bmp, gif, jp2, jpg, pgm, png, ppm, tif, webp and their kin), of any size and bit
    depth. What else lies there is counted and named."""
    out: str
    """Folder for the results, outside the folders of images."""
    batch_size: int = 32
    """Images, or tiles, that the device gets at a time."""
    overwrite: bool = False
    """Do everything anew. Default: what has a result keeps it, unless the bytes of its
    file have changed."""
    settings: Settings = dataclasses.field(default_factory=Settings)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"--batch-size must be at least 1, got {self.batch_size}.")


def main(config: Config) -> int:
    """Inspects the images; returns the exit status."""
    # Imported here: --help must answer at once and jax takes half a second.
    from experiments.launch import processes
    from vae_jax import inspection

    processes.all_devices()  # says if JAX_PLATFORMS asks for others
    outcome = inspection.record(
        config.checkpoint,
        config.images,
        config.out,
        config.settings,
        batch_size=config.batch_size,
        overwrite=config.overwrite,
    )
    print(inspection.describe(outcome))
    return SOME_FAILED if outcome.counts["failed"] else 0


if __name__ == "__main__":
    runner.run_tool(main, Config)
