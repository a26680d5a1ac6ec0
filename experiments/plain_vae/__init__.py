"""What the plain VAE, its autoencoder and their variations do with digits."""
