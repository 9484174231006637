"""What the cloud serves beside the operations of its contract: completions, and endpoints of workloads."""
