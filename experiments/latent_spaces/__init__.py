"""Pictures of what a latent space holds."""
