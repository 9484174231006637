"""The prepaid balance: its watch and settlement, payments by card, auto-recharge, operations, actions."""
