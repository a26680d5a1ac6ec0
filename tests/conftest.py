"""Settings under which every test runs."""

import os

# Read when jax starts, so they come first; processes that tests start inherit them.
# Eight simulated devices, and programs that are compiled fast rather than run fast.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
