"""One VAE under several rules for what a good reconstruction is."""
