"""Sweeps as others published them, and a small one; plain values, quick to import."""

import dataclasses

from experiments.disentanglement.sweep import Sweep

QUICK = Sweep(
    workdir="runs/dsprites",
    objectives=("vae", "beta-vae", "factor-vae", "ad-factor-vae"),
    network="locatello",
    latents=10,
    steps=300,
    seeds=2,
    learning_rate=1e-3,
    batch_size=16,
    attention=(20.0,),
    discriminator_layers=3,
    discriminator_width=256,
    discriminator_learning_rate=1e-3,
    evaluations=3,
    annealing_steps=100,
)

_STUDY = dataclasses.replace(
    QUICK,
    steps=300_000,
    seeds=10,
    learning_rate=1e-4,
    batch_size=64,
    discriminator_layers=6,
    discriminator_width=1000,
    discriminator_learning_rate=1e-4,
    evaluations=30,
    steps_per_call=100,
    annealing_steps=100_000,
)

# Locatello et al. 2019, appendix I: six objectives at six weights each. Of their
# FactorVAE both players seem to count as steps, which makes half as many updates.
LOCATELLO = dataclasses.replace(
    _STUDY,
    workdir="runs/dsprites-locatello",
    objectives=(
        "beta-vae",
        "annealed-vae",
        "factor-vae",
        "dip-vae-i",
        "dip-vae-ii",
        "beta-tcvae",
    ),
    beta=(1.0, 2.0, 4.0, 6.0, 8.0, 16.0),
    capacity=(5.0, 10.0, 25.0, 50.0, 75.0, 100.0),
    gamma=(10.0, 20.0, 30.0, 40.0, 50.0, 100.0),
    off_diagonal=(1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
    tc_beta=(1.0, 2.0, 4.0, 6.0, 8.0, 10.0),
    estimator="mws",
)

# Burgess et al. 2018: Adam at 5e-4, 25 nats.
BURGESS = dataclasses.replace(
    _STUDY,
    workdir="runs/dsprites-burgess",
    objectives=("vae", "beta-vae", "annealed-vae"),
    network="burgess",
    learning_rate=5e-4,
)

# Kim and Mnih 2018; Liu et al. 2020 put the attention loss on top, with a weight
# and a pair of latents that they do not state.
KIM = dataclasses.replace(
    _STUDY,
    workdir="runs/dsprites-kim",
    objectives=("vae", "beta-vae", "factor-vae", "ad-factor-vae"),
    network="kim",
    second_batch="independent",
    attention=(1.0, 20.0, 40.0),
    taps=("relu4", "relu1"),
)

# Chen et al. 2018: batches of 2048, Adam at 1e-3, 50 epochs.
CHEN = dataclasses.replace(
    _STUDY,
    workdir="runs/dsprites-chen",
    objectives=("beta-vae", "beta-tcvae"),
    network="burgess",
    steps=18_000,
    batch_size=2048,
    learning_rate=1e-3,
    estimator="mws",
)

# The reproduction (ML Reproducibility Challenge 2020): 32 latents, no gradient of
# the weights of a map. Its weights of the loss are 1 to 80, but it divided the loss
# by the batch, 64, which is done to the weights here.
REPRO_AD = dataclasses.replace(
    _STUDY,
    workdir="runs/dsprites-repro_ad",
    objectives=("factor-vae", "ad-factor-vae"),
    network="repro2021",
    latents=32,
    seeds=3,
    second_batch="independent",
    discriminator_layers=5,
    attention=(1 / 64, 20 / 64, 40 / 64, 80 / 64),
    taps=("relu1", "relu3"),
    map_rule="repro2021",
    map_size="image",
    second_order=False,
)
