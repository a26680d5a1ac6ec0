"""Every class in turn is the one that a VAE has not seen."""
