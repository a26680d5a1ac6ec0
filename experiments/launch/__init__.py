"""The only command-line code: flags, presets, pods, one-line errors, console."""
