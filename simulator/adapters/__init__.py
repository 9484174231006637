"""Everything that touches the outside: HTTP, sockets, threads, the terminal."""
