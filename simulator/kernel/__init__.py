"""The mechanics every simulated service needs: time, rows, transitions, chance, money, refusals."""
