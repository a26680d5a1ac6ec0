"""Experiments: the places where data, models, losses and metrics meet."""
