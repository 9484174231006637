"""Trains models on OpenRelay: a trainer, an autoscaler, and a consumer of webhooks."""
