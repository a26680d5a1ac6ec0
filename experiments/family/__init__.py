"""What the commands of the VAE family share: settings, training, the page."""
