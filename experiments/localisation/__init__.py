"""What the localisation experiments share: prepare, fit, explain, score, show."""
