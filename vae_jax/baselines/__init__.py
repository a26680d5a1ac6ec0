"""What a method is compared with."""
