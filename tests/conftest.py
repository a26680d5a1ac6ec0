"""Settings under which every test runs."""

import os

# Eight simulated devices; the flag is read when jax starts, so it comes first.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
