"""The service itself, one file per tag of the contract."""
