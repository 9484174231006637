"""What a world tells of itself when it is read: leaks, spend, verdicts, causes. Nothing here changes it."""
