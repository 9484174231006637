"""What the areas of the service share: access, capacity, metering, events, signing, workloads."""
