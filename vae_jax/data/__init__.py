"""Images from files to batches, in numpy: nothing here imports jax."""
