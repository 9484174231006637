"""Runner pools for GitHub Actions and the jobs they run."""
