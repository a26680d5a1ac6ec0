"""One class is normal, the others are not: scores of whole images."""
