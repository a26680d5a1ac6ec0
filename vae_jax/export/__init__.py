"""A detector as one file, which runs without the code that made it.

The file is a zip archive:

    program.bin      the StableHLO program of `jax.export`, for any number of images
    weights/*.npy    what it is called with: the network, statistics of normal images
    metadata.json    what goes in, what comes out, how it was made, its calibration, and
                     the SHA-256 of each file above
    check.json       how far the file's maps are from those of the code that made it

To load one takes jax, flatbuffers, numpy and scipy: no network, no training code.
"""

from vae_jax.export.detector import Detector, load_detector
from vae_jax.export.save import save_detector

__all__ = ["Detector", "load_detector", "save_detector"]
