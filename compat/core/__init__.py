"""What a tensor is, beside torch."""
