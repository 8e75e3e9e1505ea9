"""The real world: the only place with sockets, files, threads and the wall clock."""
