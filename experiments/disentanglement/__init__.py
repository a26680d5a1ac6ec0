"""Sweeps over disentangling VAEs: runs, their scores, tables and pictures."""
