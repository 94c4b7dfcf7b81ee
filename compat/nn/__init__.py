"""Programs over torch.nn that run under both libraries."""
