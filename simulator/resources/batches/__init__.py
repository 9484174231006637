"""Batches: many requests to the models at once, at a lower price."""
