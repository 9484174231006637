"""GPU and CPU virtual machines: lifecycle, launch, operations, views."""
