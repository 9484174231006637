"""Inference clusters and their replicas: states, replicas, lifecycle, operations, views."""
